# SPDX-License-Identifier: Apache-2.0
"""Where every buffer of the compiled model lies in the arena, and which bytes live when."""

from __future__ import annotations

import dataclasses

from converter.compile.errors import CompileError
from converter.compile.graph import Graph, Tensor

ALIGNMENT = 16
_DISJOINT_GAP = 1024  # bytes between the buffers of a disjoint layout
_ALIASES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")  # the output may be the input, still in use


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


def _overlap(a: Range, b: Range) -> bool:
    return a.offset < b.end and b.offset < a.end


def check_overlaps(graph: Graph, layout: MemoryLayout) -> None:
    """Refuses overlaps that no operator survives.

    An operator's scratch must not touch its operands or any live buffer, and its output must not
    touch a buffer that is needed later. Whether an output may overwrite a dying input is between
    the planner and the kernel; `HostModel.run_checked` checks the outcome.
    """
    for op, ranges in zip(graph.operators, op_ranges(graph, layout), strict=True):
        outputs = [layout.range_of(t) for t in graph.activations(op.outputs)]
        scratch = layout.scratch[op.index]
        pairs = [] if scratch is None else [(scratch, r) for r in (*ranges.live, *outputs)]
        if op.name not in _ALIASES:
            pairs += [(y, r) for y in outputs for r in ranges.kept]
        for a, b in pairs:
            if _overlap(a, b):
                raise CompileError(
                    f"plan: operator {op.index} {op.name} writes bytes {a.offset}..{a.end} while "
                    f"{b.offset}..{b.end} is in use; plan the model again"
                )


def lend_free_arena(graph: Graph, layout: MemoryLayout, names: tuple[str, ...]) -> MemoryLayout:
    """Gives each operator of ``names`` without scratch the largest free part of the arena."""
    scratch = list(layout.scratch)
    for op, ranges in zip(graph.operators, op_ranges(graph, layout), strict=True):
        if op.name in names and scratch[op.index] is None:
            scratch[op.index] = _largest_gap((*ranges.live, *ranges.touched), layout.arena_bytes)
    return dataclasses.replace(layout, scratch=tuple(scratch))


def _largest_gap(used: tuple[Range, ...], arena_bytes: int) -> Range | None:
    best, at = Range(0, 0), 0
    for r in (*sorted(used), Range(arena_bytes, 0)):
        start = -(-at // ALIGNMENT) * ALIGNMENT
        if r.offset - start > best.size:
            best = Range(start, r.offset - start)
        at = max(at, r.end)
    return best if best.size else None


def disjoint_layout(graph: Graph, layout: MemoryLayout) -> MemoryLayout:
    """Every buffer at a place of its own: the layout that no overwriting can spoil."""
    top = 0

    def place(size: int) -> int:
        nonlocal top
        offset, top = top, top + -(-size // ALIGNMENT) * ALIGNMENT + _DISJOINT_GAP
        return offset

    tensors = tuple(
        None if layout.tensors[t.index] is None else place(t.nbytes) for t in graph.tensors
    )
    scratch = tuple(None if r is None else Range(place(r.size), r.size) for r in layout.scratch)
    strip = None if layout.strip is None else Range(place(layout.strip.size), layout.strip.size)
    return MemoryLayout(top, tensors, scratch, strip)


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
