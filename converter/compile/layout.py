# SPDX-License-Identifier: Apache-2.0
"""Where every buffer of the compiled model lies in the arena, and which bytes live when."""

from __future__ import annotations

import dataclasses

from converter.compile.errors import CompileError
from converter.compile.graph import Graph, Tensor

ALIGNMENT = 16


@dataclasses.dataclass(frozen=True, order=True)
class Range:
    """Bytes ``[offset, offset + size)`` of the arena."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclasses.dataclass(frozen=True)
class MemoryLayout:
    """A fixed memory plan.

    Attributes:
      arena_bytes: size of the arena.
      tensors: offset of each activation, by tensor index; None for constants and for the image
        of a streamed model.
      scratch: one range per operator, None where it needs none.
      strip: streamed models: where one strip of image rows is collected; else None.
    """

    arena_bytes: int
    tensors: tuple[int | None, ...]
    scratch: tuple[Range | None, ...]
    strip: Range | None = None

    @property
    def streamed(self) -> bool:
        return self.strip is not None

    def range_of(self, tensor: Tensor) -> Range:
        """The bytes of an activation."""
        offset = self.tensors[tensor.index]
        if offset is None:
            raise CompileError(f"the plan gives no offset for tensor {tensor.name}")
        return Range(offset, tensor.nbytes)


@dataclasses.dataclass(frozen=True)
class OpRanges:
    """What the debug build checks around one operator.

    Attributes:
      live: ranges that hold values before the operator runs; all else is dead and is poisoned.
      kept: the live ranges that a later operator reads as well: must not change.
      touched: outputs and scratch; bytes outside ``live`` and ``touched`` keep their poison.
    """

    live: tuple[Range, ...]
    kept: tuple[Range, ...]
    touched: tuple[Range, ...]


def check_layout(graph: Graph, layout: MemoryLayout) -> None:
    """Refuses a plan that is not for this graph or leaves the arena (bounds and alignment)."""
    if len(layout.tensors) != len(graph.tensors) or len(layout.scratch) != len(graph.operators):
        raise CompileError(
            f"the plan is for {len(layout.tensors)} tensors and {len(layout.scratch)} operators; "
            f"the model has {len(graph.tensors)} and {len(graph.operators)}; plan it again"
        )
    ranges = [(f"scratch of operator {i}", r) for i, r in enumerate(layout.scratch) if r]
    if layout.strip:
        ranges.append(("image strip", layout.strip))
    for tensor in _used_activations(graph):
        if not (layout.streamed and tensor.index == graph.input.index):
            ranges.append((f"tensor {tensor.name}", layout.range_of(tensor)))
    for what, r in ranges:
        if r.offset < 0 or r.offset % ALIGNMENT or r.end > layout.arena_bytes:
            raise CompileError(
                f"plan: {what} is at bytes {r.offset}..{r.end}; expected a multiple of "
                f"{ALIGNMENT} and an end <= {layout.arena_bytes}"
            )


def _used_activations(graph: Graph) -> tuple[Tensor, ...]:
    used = {graph.input.index, graph.output.index}
    for op in graph.operators:
        used.update(t.index for t in graph.activations(op.inputs + op.outputs))
    return tuple(graph.tensors[i] for i in sorted(used))


def op_ranges(graph: Graph, layout: MemoryLayout) -> tuple[OpRanges, ...]:
    """Derives from the graph alone which bytes live when (a second opinion on the planner)."""
    last_use: dict[int, int] = {graph.output.index: len(graph.operators)}
    for op in reversed(graph.operators):
        for tensor in graph.activations(op.inputs):
            last_use.setdefault(tensor.index, op.index)
    streamed_input = graph.input.index if layout.streamed else None
    alive = {} if layout.streamed else {graph.input.index: layout.range_of(graph.input)}
    result = []
    for op in graph.operators:
        outputs = tuple(layout.range_of(t) for t in graph.activations(op.outputs))
        scratch = layout.scratch[op.index]
        live = tuple(alive.values())
        touched = outputs + ((scratch,) if scratch else ())
        if streamed_input in op.inputs and layout.strip:  # runs once per strip of rows
            live += (layout.strip, *outputs)
            touched += (layout.strip,)
        kept = tuple(r for i, r in alive.items() if last_use.get(i, -1) > op.index)
        result.append(OpRanges(live, kept, touched))
        alive = {i: r for i, r in alive.items() if last_use.get(i, -1) > op.index}
        for tensor in graph.activations(op.outputs):
            if last_use.get(tensor.index, -1) > op.index:
                alive[tensor.index] = layout.range_of(tensor)
    return tuple(result)
