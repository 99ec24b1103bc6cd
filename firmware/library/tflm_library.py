# SPDX-License-Identifier: Apache-2.0
"""A fused `.tflite` -> the files of a library whose model runs in TFLM's interpreter."""

from __future__ import annotations

import dataclasses
import zlib

from boards import Board
from converter import tflite
from converter.compile import CompileError
from converter.compile.interface import interface_of
from converter.compile.planned import PlannedGraph, read_graph
from converter.fused_ops import decoded_all
from converter.plan import PlanError, read_plan
from converter.plan.problem import ALIGNMENT
from converter.tflite import Graph
from firmware.errors import FirmwareError, ModelError
from firmware.library.facts import Facts
from firmware.library.kernels import kernels
from firmware.library.library import Library, Optimization, model_files
from firmware.library.names import check_library_name
from firmware.library.said import said_by
from firmware.library.tflm_engine import TflmArena, TflmEngine
from firmware.library.weights import weights_source
from firmware.project import ProjectFile
from firmware.tflm.embedded import Embedded, embedded_of
from firmware.tflm.model_files import resolver_calls
from firmware.tflm.tree import TflmTree, find_tree

_SOURCE = {
    False: "guessed: it was not measured (--nocheck).",
    True: "measured with the TFLM of TFLM_DIR.",
}


def _guess(graph: Graph, embedded: Embedded, planned: int) -> int:
    """Bytes that TFLM keeps, generously: of a graph in which it plans itself, scratch as well."""
    operators, tensors = len(graph.operators), len(graph.tensors)
    builtins = decoded_all(graph).count(None)
    beside = (
        embedded.planning_bytes(planned) + 4096 + 160 * operators + 32 * tensors + builtins * 512
    )
    return (beside + (planned if builtins else 0)) // ALIGNMENT * ALIGNMENT


def _facts(model: bytes, name: str, *, guessed: bool) -> Facts:
    """Of an arena that is a guess, or, to be measured, of the plan alone."""
    try:
        plan, graph = read_plan(model), read_graph(model)
        interface = interface_of(PlannedGraph(graph, plan))
        said = said_by(model, interface)
        embedded = embedded_of(model, plan)
        resolver_calls(graph)
    except (CompileError, PlanError, tflite.TfliteError) as error:
        raise ModelError(str(error)) from error
    beside = _guess(graph, embedded, plan.arena_bytes) if guessed else 0
    size = TflmArena(plan.arena_bytes, beside, _SOURCE[False])
    return Facts(
        name,
        dataclasses.replace(interface, arena_bytes=size.bytes),
        said,
        len(embedded.content),
        zlib.crc32(embedded.content),
        kernels().version,
        engine=TflmEngine(graph, embedded, size),
    )


def _files(facts: Facts, engine: TflmEngine, external: bool) -> tuple[ProjectFile, ...]:
    own = {"_model.h": engine.model_header(facts), "_model.cc": _renamed(engine, facts)}
    symbol = f"{facts.name}_model_weights"
    weights = weights_source(facts.name, symbol, engine.embedded.content, external)
    return (*model_files(facts, own, weights), *kernels().files, *kernels().tflm)


def _renamed(engine: TflmEngine, facts: Facts) -> str:
    return kernels().renamed(engine.model_source(facts))


def _tree(board: Board) -> TflmTree:
    try:
        return find_tree(board)
    except FirmwareError as error:
        raise FirmwareError(f"{error}; without it: --nocheck, which guesses the arena") from error


def tflm_library_from_model(
    model: bytes,
    name: str,
    board: Board,
    *,
    external: bool = False,
    check: bool = True,
    optimization: Optimization | None = None,
) -> Library:
    """A library of a fused and planned `.tflite` that TFLM runs.

    Args:
      model: the file.
      name: prefix of all symbols.
      board: whose core arena and stack are measured for.
      external: the file lies in a section for memory-mapped flash.
      check: compile it, every warning an error, link it with the TFLM of TFLM_DIR, and measure
        arena and stack; else the arena is a guess.
      optimization: that it is going to be built with.

    Raises:
      FirmwareError: a name that C has otherwise, TFLM_DIR without a library for the core, no cross
        compiler, or what TFLM refuses.
      ModelError: an operator that TFLM lacks, no plan, or a damaged file.
    """
    check_library_name(name)
    tree = _tree(board) if check else None
    facts = _facts(model, name, guessed=tree is None)
    engine = facts.engine
    assert isinstance(engine, TflmEngine)
    chosen = Optimization() if optimization is None else optimization
    library = Library(facts, _files(facts, engine, external), chosen)
    if tree is None:
        return library
    from firmware.library.tflm_measure import measured  # the emulator, an extra

    found = measured(library, board, tree)
    beside = found.arena - engine.size.planned
    size = TflmArena(engine.size.planned, beside, _SOURCE[True], tree.fingerprint())
    engine = dataclasses.replace(engine, size=size, counted=found.counted)
    facts = dataclasses.replace(
        facts,
        interface=dataclasses.replace(facts.interface, arena_bytes=size.bytes),
        stack=found.stack,
        camera_stack=found.camera_stack,
        engine=engine,
    )
    return Library(facts, _files(facts, engine, external), chosen, found.code)
