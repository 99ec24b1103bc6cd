# SPDX-License-Identifier: Apache-2.0
"""Checks a plan against its graph, and says which bytes of the arena live when."""

from __future__ import annotations

import dataclasses

from converter.compile.errors import CompileError
from converter.compile.planned import PlannedGraph
from converter.plan.layout import Plan, Span
from converter.plan.problem import ALIGNMENT, align_up

_DISJOINT_GAP = 1024  # bytes between the buffers of a disjoint plan
_ALIASES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")  # the output may be the input, still in use


@dataclasses.dataclass(frozen=True)
class OpSpans:
    """What the debug build checks around one operator.

    Attributes:
      live: spans that hold values before the operator runs; all else is dead and is poisoned.
      kept: the live spans that a later operator reads as well: must not change.
      touched: outputs and scratch; bytes outside ``live`` and ``touched`` keep their poison.
    """

    live: tuple[Span, ...]
    kept: tuple[Span, ...]
    touched: tuple[Span, ...]


def check_plan(planned: PlannedGraph) -> None:
    """Refuses a plan that is not for this graph or leaves the arena (bounds and alignment)."""
    graph, plan = planned.graph, planned.plan
    if len(plan.tensors) != len(graph.tensors) or len(plan.scratch) != len(graph.operators):
        raise CompileError(
            f"the plan is for {len(plan.tensors)} tensors and {len(plan.scratch)} operators; "
            f"the model has {len(graph.tensors)} and {len(graph.operators)}; plan it again"
        )
    spans = [(f"scratch of operator {i}", s) for i, s in enumerate(plan.scratch) if s]
    if plan.strip:
        spans.append(("image strip", plan.strip))
    spans += [(f"tensor {graph.tensors[i].name}", planned.span(i)) for i in _used(planned)]
    for what, s in spans:
        if s.offset < 0 or s.offset % ALIGNMENT or s.end > plan.arena_bytes:
            raise CompileError(
                f"plan: {what} is at bytes {s.offset}..{s.end}; expected a multiple of "
                f"{ALIGNMENT} and an end <= {plan.arena_bytes}"
            )


def _used(planned: PlannedGraph) -> tuple[int, ...]:
    """The activations that must have a place."""
    used = {*planned.resident_inputs, *planned.activations(planned.graph.outputs)}
    for op in planned.graph.operators:
        used.update(planned.activations(op.inputs + op.outputs))
    return tuple(sorted(used - {planned.image}))


def check_overlaps(planned: PlannedGraph) -> None:
    """Refuses overlaps that no operator survives.

    An operator's scratch must not touch its operands or any live buffer, and its output must not
    touch a buffer that is needed later. Whether an output may overwrite a dying input is between
    the planner and the kernel; `HostModel.run_checked` checks the outcome.
    """
    inputs = [planned.span(i) for i in planned.resident_inputs]
    for i, a in enumerate(inputs):
        if any(a.overlaps(b) for b in inputs[:i]):
            raise CompileError("plan: two model inputs share bytes; plan the model again")
    graph = planned.graph
    for index, (op, spans) in enumerate(zip(graph.operators, op_spans(planned), strict=True)):
        outputs = [planned.span(i) for i in planned.activations(op.outputs)]
        scratch = planned.plan.scratch[index]
        pairs = [] if scratch is None else [(scratch, s) for s in (*spans.live, *outputs)]
        pairs += [(y, z) for i, y in enumerate(outputs) for z in outputs[:i]]
        if op.name not in _ALIASES:
            pairs += [(y, s) for y in outputs for s in spans.kept]
        for a, b in pairs:
            if a.overlaps(b):
                raise CompileError(
                    f"plan: operator {index} {op.name} writes bytes {a.offset}..{a.end} while "
                    f"{b.offset}..{b.end} is in use; plan the model again"
                )


def lend_free_arena(planned: PlannedGraph, names: tuple[str, ...]) -> PlannedGraph:
    """Gives each operator of ``names`` without scratch the largest free part of the arena."""
    plan = planned.plan
    scratch = list(plan.scratch)
    operators = planned.graph.operators
    for index, (op, spans) in enumerate(zip(operators, op_spans(planned), strict=True)):
        if op.name in names and scratch[index] is None:
            scratch[index] = _largest_gap((*spans.live, *spans.touched), plan.arena_bytes)
    lent = dataclasses.replace(plan, scratch=tuple(scratch))
    return dataclasses.replace(planned, plan=lent)


def _largest_gap(used: tuple[Span, ...], arena_bytes: int) -> Span | None:
    best, at = Span(0, 0), 0
    for s in (*sorted(used), Span(arena_bytes, 0)):
        start = align_up(at, ALIGNMENT)
        if s.offset - start > best.size_bytes:
            best = Span(start, s.offset - start)
        at = max(at, s.end)
    return best if best.size_bytes else None


def disjoint_plan(planned: PlannedGraph) -> Plan:
    """Every buffer at a place of its own: the plan that no overwriting can spoil."""
    top = 0

    def place(span: Span | None, size_bytes: int | None = None) -> Span | None:
        nonlocal top
        if span is None:
            return None
        size = span.size_bytes if size_bytes is None else size_bytes
        offset, top = top, top + align_up(size, ALIGNMENT) + _DISJOINT_GAP
        return Span(offset, size)

    plan = planned.plan
    sizes = [t.nbytes for t in planned.graph.tensors]
    tensors = tuple(place(s, size) for s, size in zip(plan.tensors, sizes, strict=True))
    scratch = tuple(place(s) for s in plan.scratch)
    strip = place(plan.strip)
    return Plan(top, 0, tensors, scratch, strip)


def op_spans(planned: PlannedGraph) -> tuple[OpSpans, ...]:
    """Derives from the graph alone which bytes live when (a second opinion on the planner)."""
    graph, plan = planned.graph, planned.plan
    last_use = dict.fromkeys(graph.outputs, len(graph.operators))
    for index, op in reversed(list(enumerate(graph.operators))):
        for tensor in planned.activations(op.inputs):
            last_use.setdefault(tensor, index)
    alive = {i: planned.span(i) for i in planned.resident_inputs if i in last_use}
    result = []
    for index, op in enumerate(graph.operators):
        outputs = tuple(planned.span(i) for i in planned.activations(op.outputs))
        scratch = plan.scratch[index]
        live = tuple(alive.values())
        touched = outputs + ((scratch,) if scratch else ())
        if plan.strip and planned.image in op.inputs:  # runs once per strip of rows
            live += (plan.strip, *outputs)
            touched += (plan.strip,)
        alive = {i: s for i, s in alive.items() if last_use[i] > index}
        result.append(OpSpans(live, tuple(alive.values()), touched))
        for tensor in planned.activations(op.outputs):
            if last_use.get(tensor, -1) > index:
                alive[tensor] = planned.span(tensor)
    return tuple(result)
