# SPDX-License-Identifier: Apache-2.0
"""Types of the activations in the fused graph: which residual tensors may be int16.

A residual tensor is widened where everything that writes and reads it is fused or carries int16
(`islands/carriers.py`), and where that also holds for the tensors tied to it (a block's input and
output have one type). The int16 scale comes from the calibrated int8 range, so no calibration is
repeated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Container, Sequence

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.islands.carriers import ends_network, values_of
from converter.fuse.patterns.match import Match
from converter.fuse.wide import int16_of
from converter.tflite import GraphView
from tflm_custom_ops.ops.schema.residual import INT8


@dataclasses.dataclass(frozen=True)
class Types:
    """Types of the fused graph's activations.

    Attributes:
      wide: tensors that become int16, with their scale.
      notes: why residual tensors stay int8 although int16 was asked for.
    """

    wide: dict[int, Range]
    notes: tuple[str, ...]

    def of(self, view: GraphView, tensor: int) -> Range:
        if tensor in self.wide:
            return self.wide[tensor]
        t = view.tensor(tensor)
        return Range(t.scale, t.zero_point)


def residual_types(
    view: GraphView,
    matches: Sequence[Match],
    bits: int,
    widened: Container[int] = (),
    carriers: Collection[int] = (),
) -> Types:
    """Decides the types; `bits` is 8 or 16.

    Args:
      widened: tensors that become int16 whatever `bits` is: the file has them in float.
      carriers: builtin operators all of whose values may be int16.
    """
    ties = [(*view.op(op).outputs, *values_of(view, op)) for op in sorted(carriers)]
    wide: dict[int, Range] = {}
    notes: list[str] = []
    for group in stream_groups(matches, ties):
        if bits == INT8.bits and not any(t in widened for t in group):
            continue
        reasons = [r for r in (_obstacle(view, matches, carriers, t) for t in group) if r]
        if reasons:
            notes.append(reasons[0])
            continue
        for tensor in group:
            wide[tensor] = int16_of(view.tensor(tensor))
    return Types(wide, tuple(notes))


def stream_groups(matches: Sequence[Match], ties: Sequence[Sequence[int]] = ()) -> list[list[int]]:
    """Residual tensors that must have one type, in order of first appearance.

    Args:
      ties: others that must.
    """
    group_of: dict[int, list[int]] = {}

    def join(a: int, b: int) -> None:
        left, right = group_of.setdefault(a, [a]), group_of.setdefault(b, [b])
        if left is not right:
            left.extend(right)
            for tensor in right:
                group_of[tensor] = left

    for match in matches:
        if match.WRITES_STREAM:
            join(match.x if match.READS_STREAM else match.y, match.y)
    for first, *others in ties:
        for tensor in (first, *others):
            join(first, tensor)
    unique: list[list[int]] = []
    for group in group_of.values():
        if not any(group is g for g in unique):
            unique.append(group)
    return unique


def _obstacle(
    view: GraphView, matches: Sequence[Match], carriers: Container[int], tensor: int
) -> str | None:
    """Why a tensor cannot be int16, or None."""
    name = view.tensor(tensor).name
    if tensor in view.graph.outputs or tensor in view.graph.inputs:
        return f"{name!r} is an input or output of the network"
    producer = view.producer(tensor)
    written = any(m.WRITES_STREAM and m.y == tensor for m in matches) or producer in carriers
    written |= view.is_constant(tensor)  # carriers read one, which can be of any type
    if not written and not _is_requantize(view, producer):
        got = "a constant" if producer is None else view.label(producer)
        return f"{name!r} is written by {got}, which has no int16 form"
    inside = {op for m in matches if m.READS_STREAM and m.x == tensor for op in m.ops}
    inside |= {r for r in view.consumers(tensor) if r in carriers}
    if producer in carriers:
        inside |= {r for r in view.consumers(tensor) if ends_network(view, r)}
    for reader in view.consumers(tensor):
        if reader not in inside and not _is_requantize(view, reader):
            return f"{name!r} is read by {view.label(reader)}, which has no int16 form"
    return None


def _is_requantize(view: GraphView, op: int | None) -> bool:
    """A QUANTIZE between integers, which has an int16 form."""
    if op is None or view.op(op).opcode != "QUANTIZE":
        return False
    ends = (*view.op(op).inputs, *view.op(op).outputs)
    return all(view.tensor(t).dtype == np.int8 for t in ends)
