# SPDX-License-Identifier: Apache-2.0
"""Turns a model into the generated files."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

from converter.compile import builtin, fused
from converter.compile.calls import Call, CallContext
from converter.compile.errors import CompileError
from converter.compile.graph import Graph, Operator, read_graph
from converter.compile.header import Interface, header_text, interface_of
from converter.compile.layout import MemoryLayout, check_layout, check_overlaps, lend_free_arena
from converter.compile.plan import layout_from_model
from converter.compile.source import source_text, weights_assembly
from converter.compile.sources import RUNTIME
from converter.compile.streaming import check_streamed
from converter.compile.weights import WeightsImage
from tflm_custom_ops import options

_FUSED_CODES = frozenset(options.CUSTOM_CODES.values())


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
    return op.name in (_FUSED_CODES if op.is_custom else builtin.SUPPORTED)


def _call(op: Operator, context: CallContext) -> Call:
    if op.is_custom:
        return fused.call(op, context)
    return builtin.call(op, context)


def _check_supported(graph: Graph) -> None:
    unsupported = sorted({op.name for op in graph.operators if not _supported(op)})
    if unsupported:
        raise CompileError(
            f"operators not supported by the compiled runtime: {', '.join(unsupported)}; fuse a "
            "plain model first (converter.fuse), or use the TFLM runtime (--runtime=tflm)"
        )


def compile_graph(graph: Graph, layout: MemoryLayout, external_weights: bool) -> CompiledModel:
    """Compiles a graph under a given memory layout; see `compile_model`."""
    _check_supported(graph)
    check_layout(graph, layout)
    layout = lend_free_arena(graph, layout, builtin.WANTS_SCRATCH)
    check_overlaps(graph, layout)
    context = CallContext(graph, layout, WeightsImage())
    if layout.streamed:
        first = graph.operators[0] if graph.operators else None
        is_fused = first is not None and first.name in _FUSED_CODES
        check_streamed(graph, layout, fused.decode(first, context) if is_fused and first else None)
    calls = [_call(op, context) for op in graph.operators]
    interface = interface_of(graph, layout)
    weights = context.weights.bytes()
    texts = (
        ("vit_model.h", header_text(interface)),
        ("vit_model.c", source_text(graph, layout, calls)),
        ("vit_model_weights.S", weights_assembly(external_weights, len(weights))),
    )
    files = [GeneratedFile(name, text.encode()) for name, text in texts]
    files.append(GeneratedFile("vit_model_weights.bin", weights))
    for path in sorted(RUNTIME.glob("vit_model_debug.*")):
        files.append(GeneratedFile(path.name, path.read_bytes()))
    return CompiledModel(interface, tuple(files), len(weights))


def compile_model(
    model_bytes: bytes,
    layout: MemoryLayout | None = None,
    external_weights: bool = False,
) -> CompiledModel:
    """Compiles a fused and planned ``.tflite``.

    Args:
      model_bytes: the file.
      layout: memory layout; None reads the plan that the file carries.
      external_weights: place the weights in external, memory-mapped flash.

    Raises:
      CompileError: unsupported operators (by name), malformed options, or a plan that does not
        fit the model.
    """
    graph = read_graph(model_bytes)
    _check_supported(graph)  # before a plan is asked for: the reason that helps
    return compile_graph(graph, layout or layout_from_model(model_bytes), external_weights)
