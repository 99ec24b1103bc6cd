# SPDX-License-Identifier: Apache-2.0
"""Turns a model into the generated files."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

from converter.compile import builtin, fused
from converter.compile.arena import check_overlaps, check_plan, lend_free_arena
from converter.compile.calls import Call, CallContext
from converter.compile.errors import CompileError
from converter.compile.header import header_text
from converter.compile.interface import Interface, interface_of
from converter.compile.planned import PlannedGraph, plan_from_model, read_graph
from converter.compile.source import source_text, weights_assembly
from converter.compile.sources import RUNTIME
from converter.compile.streaming import check_streamed
from converter.compile.weights import WeightOrder, WeightsImage
from converter.contract import ContractError, Stated, stated_by
from converter.fused_ops import is_fused
from converter.plan.layout import Plan
from converter.tflite import Graph, Operator, parse


@dataclasses.dataclass(frozen=True)
class GeneratedFile:
    """One file of the output directory."""

    name: str
    content: bytes


@dataclasses.dataclass(frozen=True)
class CompiledModel:
    """The generated files and the numbers that the header publishes."""

    interface: Interface
    files: tuple[GeneratedFile, ...]
    weights_bytes: int

    def write(self, directory: Path) -> None:
        """Writes the files; none of them appears before all are complete.

        Raises:
          OSError: with the name of the folder, or of what is in the way of a file.
        """
        for file in self.files:
            if (directory / file.name).is_dir():  # the only thing that cannot be replaced
                raise IsADirectoryError(0, "got a folder, expected a file", directory / file.name)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory, prefix=".partial-") as partial:
                for file in self.files:
                    (Path(partial) / file.name).write_bytes(file.content)
                for file in self.files:
                    os.replace(Path(partial) / file.name, directory / file.name)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(directory)) from error


def _supported(op: Operator) -> bool:
    return is_fused(op) if op.opcode == "CUSTOM" else op.name in builtin.SUPPORTED


def _call(context: CallContext) -> Call:
    return fused.call(context) if is_fused(context.op) else builtin.call(context)


def _check_supported(graph: Graph) -> None:
    unsupported = sorted({op.name for op in graph.operators if not _supported(op)})
    if unsupported:
        raise CompileError(
            f"operators not supported by the compiled runtime: {', '.join(unsupported)}; "
            f"{_remedy(graph)}"
        )


def _remedy(graph: Graph) -> str:
    """Another runtime that has the operators; fusing, where that has not been done."""
    from converter.support.verdict import DEVICE, WHEEL, verdicts  # it imports builtins too

    others = [v.runtime for v in verdicts(graph) if v.runs and v.runtime in (WHEEL, DEVICE)]
    if not any(is_fused(op) for op in graph.operators):
        return "fuse it first (python -m converter.fuse)"
    if others:
        return f"run it with --runtime=tflm ({' and '.join(others)})"
    return "no other runtime has them either; make the network without them"


def _check_streamed(planned: PlannedGraph, weights: WeightsImage) -> None:
    if planned.plan.streamed:
        first = CallContext(planned, weights, 0)
        check_streamed(planned, fused.decode(first) if is_fused(first.op) else None)


@dataclasses.dataclass(frozen=True, eq=False)
class GeneratedCalls:
    """The call of each operator, and the constants that they refer to.

    Attributes:
      weights: the image of all constants.
      added_bytes: of it, by operator; what several operators read counts for the first of them.
    """

    planned: PlannedGraph
    calls: tuple[Call, ...]
    weights: bytes
    added_bytes: tuple[int, ...]


def generated_calls(
    graph: Graph, plan: Plan, order: WeightOrder = WeightOrder.PAIRS
) -> GeneratedCalls:
    """Of a graph under a given memory plan; CompileError as `compile_model`."""
    _check_supported(graph)
    planned = PlannedGraph(graph, plan)
    check_plan(planned)
    planned = lend_free_arena(planned, builtin.WANTS_SCRATCH)
    check_overlaps(planned)
    image = WeightsImage(order)
    _check_streamed(planned, image)
    calls, added = [], []
    for i in range(len(graph.operators)):
        before = image.size_bytes
        calls.append(_call(CallContext(planned, image, i)))
        added.append(image.size_bytes - before)
    return GeneratedCalls(planned, tuple(calls), image.bytes(), tuple(added))


def compile_graph(
    graph: Graph,
    plan: Plan,
    external_weights: bool,
    stated: Stated | None = None,
    order: WeightOrder = WeightOrder.PAIRS,
) -> CompiledModel:
    """Compiles a graph under a given memory plan; see `compile_model`.

    Args:
      stated: what its file says.
    """
    generated = generated_calls(graph, plan, order)
    planned, weights = generated.planned, generated.weights
    interface = interface_of(planned, stated)
    if interface.streamed and interface.image is None:
        raise CompileError("streamed input needs an int8 image and an int8 output")
    texts = (
        ("vit_model.h", header_text(interface)),
        ("vit_model.c", source_text(planned, interface, generated.calls, order)),
        ("vit_model_weights.S", weights_assembly(external_weights, len(weights))),
    )
    files = [GeneratedFile(name, text.encode()) for name, text in texts]
    files.append(GeneratedFile("vit_model_weights.bin", weights))
    for path in sorted(RUNTIME.glob("vit_model_debug.*")):
        files.append(GeneratedFile(path.name, path.read_bytes()))
    return CompiledModel(interface, tuple(files), len(weights))


def compile_model(
    model_bytes: bytes,
    plan: Plan | None = None,
    external_weights: bool = False,
    order: WeightOrder = WeightOrder.PAIRS,
) -> CompiledModel:
    """Compiles a fused and planned ``.tflite``.

    Args:
      model_bytes: the file.
      plan: memory plan; None reads the one that the file carries.
      external_weights: place the weights in external, memory-mapped flash.
      order: of the dense layers' weights: rows for kernels built with VIT_WEIGHT_ROWS.

    Raises:
      CompileError: unsupported operators (by name), malformed options, or a plan that does not
        fit the model.
    """
    graph = read_graph(model_bytes)
    _check_supported(graph)  # before a plan is asked for: the reason that helps
    stated = statement_of(model_bytes)
    plan = plan or plan_from_model(model_bytes)
    return compile_graph(graph, plan, external_weights, stated, order)


def statement_of(model_bytes: bytes) -> Stated:
    """What the file's metadata says; CompileError where that is damaged."""
    try:
        return stated_by(parse(model_bytes))
    except ContractError as error:
        raise CompileError(str(error)) from error
