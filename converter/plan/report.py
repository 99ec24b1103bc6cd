# SPDX-License-Identifier: Apache-2.0
"""What a plan spends its bytes on: by kind, by operator, and where each buffer lies when."""

from __future__ import annotations

import dataclasses
import enum

from converter.plan.layout import Plan
from converter.plan.lifetimes import STRIP_ID, ModelProblem, scratch_id
from converter.plan.problem import Buffer
from tflm_custom_ops.ops import Params, operator_of
from tflm_custom_ops.ops.schema.writing import arrays_of


class BufferKind(enum.Enum):
    """What a buffer is for."""

    IMAGE = "image"
    STRIP = "image strip"
    TOKENS = "tokens"
    ACTIVATIONS = "activations"
    KEYS_VALUES = "K/V"
    SCRATCH = "scratch"
    PERSISTENT = "persistent"


@dataclasses.dataclass(frozen=True)
class Rectangle:
    """A buffer on the memory map: steps [lower, upper), addresses [offset, offset + size_bytes)."""

    name: str
    kind: BufferKind
    lower: int
    upper: int
    offset: int
    size_bytes: int


@dataclasses.dataclass(frozen=True)
class OpMemory:
    """Bytes of the arena while one operator runs; ``live_bytes`` counts shared bytes once."""

    op: int
    name: str
    live_bytes: int
    scratch_bytes: int


@dataclasses.dataclass(frozen=True)
class MemoryReport:
    """A planned model's memory.

    Attributes:
      arena_bytes, lower_bound_bytes: of the plan.
      ops: per operator.
      peak: the operator with most live bytes.
      peak_by_kind: bytes at the peak, shared bytes counted once, as the dying buffer's kind.
      rectangles: the memory map.
    """

    arena_bytes: int
    lower_bound_bytes: int
    streamed: bool
    ops: tuple[OpMemory, ...]
    peak: OpMemory
    peak_by_kind: tuple[tuple[BufferKind, int], ...]
    rectangles: tuple[Rectangle, ...]


def memory_report(stated: ModelProblem, plan: Plan) -> MemoryReport:
    """The report of a plan for the model that ``stated`` describes."""
    rectangles = _rectangles(stated, plan)
    ops = tuple(
        OpMemory(i, op.name, _union(_in_step(rectangles, i + 1)), _scratch(plan, i))
        for i, op in enumerate(stated.graph.operators)
    )
    peak = max(ops, key=lambda o: o.live_bytes)
    return MemoryReport(
        plan.arena_bytes,
        plan.lower_bound_bytes,
        plan.streamed,
        ops,
        peak,
        _by_kind(_in_step(rectangles, peak.op + 1)),
        rectangles,
    )


def _scratch(plan: Plan, op: int) -> int:
    span = plan.scratch[op]
    return 0 if span is None else span.size_bytes


def _in_step(rectangles: tuple[Rectangle, ...], step: int) -> list[Rectangle]:
    return [r for r in rectangles if r.lower <= step < r.upper]


def _union(rectangles: list[Rectangle]) -> int:
    """Bytes covered by at least one rectangle."""
    covered, end = 0, 0
    for r in sorted(rectangles, key=lambda r: r.offset):
        top = r.offset + r.size_bytes
        covered += max(0, top - max(end, r.offset))
        end = max(end, top)
    return covered


def _by_kind(rectangles: list[Rectangle]) -> tuple[tuple[BufferKind, int], ...]:
    """Bytes per kind; each buffer adds what those before it (in birth order) do not cover."""
    totals: dict[BufferKind, int] = {}
    seen: list[Rectangle] = []
    for r in sorted(rectangles, key=lambda r: (r.lower, r.offset)):
        added = _union([*seen, r]) - _union(seen)
        totals[r.kind] = totals.get(r.kind, 0) + added
        seen.append(r)
    return tuple(sorted(totals.items(), key=lambda item: -item[1]))


def _rectangles(stated: ModelProblem, plan: Plan) -> tuple[Rectangle, ...]:
    found = []
    for b in stated.problem.buffers:
        found += _rectangles_of(stated, plan, b)
    return tuple(found)


def _rectangles_of(stated: ModelProblem, plan: Plan, b: Buffer) -> list[Rectangle]:
    name = stated.names[b.id]

    def rectangle(kind: BufferKind, offset: int, size: int, label: str = name) -> Rectangle:
        return Rectangle(label, kind, b.lower, b.upper, offset, size)

    if b.id == STRIP_ID and plan.strip is not None:
        return [rectangle(BufferKind.STRIP, plan.strip.offset, plan.strip.size_bytes)]
    for i, span in enumerate(plan.scratch):
        if span is not None and b.id == scratch_id(i):
            op = stated.ops[i]
            kept = 0 if op is None else operator_of(op).kept_bytes
            parts = [rectangle(BufferKind.SCRATCH, span.offset + kept, span.size_bytes - kept)]
            if kept:
                parts.append(rectangle(BufferKind.KEYS_VALUES, span.offset, kept, f"K/V of op {i}"))
            return parts
    index = int(b.id.removeprefix("t"))
    span = plan.tensors[index]
    assert span is not None
    return [rectangle(_tensor_kind(stated, index), span.offset, span.size_bytes)]


def _tensor_kind(stated: ModelProblem, index: int) -> BufferKind:
    if stated.graph.tensors[index].is_variable:
        return BufferKind.PERSISTENT
    if index in stated.graph.inputs:
        return BufferKind.IMAGE
    for op, fused in zip(stated.graph.operators, stated.ops, strict=True):
        if index in op.outputs:
            tokens = fused is not None and operator_of(fused).WRITES_STREAM
            return BufferKind.TOKENS if tokens else BufferKind.ACTIVATIONS
    return BufferKind.ACTIVATIONS


# ---- flash -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FlashReport:
    """Bytes of the file by section; they add up to ``file_bytes``.

    Attributes:
      sections: (name, bytes) pairs, largest first.
      constant_bytes: what any runtime needs: weights, biases, multipliers, tables.
    """

    file_bytes: int
    constant_bytes: int
    sections: tuple[tuple[str, int], ...]


def op_sections(op: Params) -> dict[str, int]:
    """Constant bytes of a fused operator by section, before alignment; equal arrays count once."""
    totals: dict[str, int] = {}
    seen: set[bytes] = set()
    for kind, array in arrays_of(op):
        content = array.tobytes()
        if content not in seen:
            seen.add(content)
            totals[kind.section] = totals.get(kind.section, 0) + len(content)
    return totals


def flash_report(stated: ModelProblem, file_bytes: int) -> FlashReport:
    """Sections of the file."""
    blobs: dict[int, Params] = {
        op.inputs[-1]: fused
        for op, fused in zip(stated.graph.operators, stated.ops, strict=True)
        if fused is not None
    }
    totals: dict[str, int] = {}
    constant, seen = 0, set[bytes]()
    for i, t in enumerate(stated.graph.tensors):
        if t.data is None or t.data.tobytes() in seen:  # the writer stores equal constants once
            continue
        seen.add(t.data.tobytes())
        constant += t.nbytes
        sections = op_sections(blobs[i]) if i in blobs else {"builtin operators": t.nbytes}
        for name, size in sections.items():
            totals[name] = totals.get(name, 0) + size
    totals["alignment"] = constant - sum(totals.values())
    totals["graph, options and plan"] = file_bytes - constant
    ordered = sorted(((n, s) for n, s in totals.items() if s), key=lambda item: -item[1])
    return FlashReport(file_bytes, constant, tuple(ordered))
