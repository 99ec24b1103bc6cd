# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE goes before what only moves or joins elements, behind what is computed in float.

The other end of an island of float operators than `dequantize_moves` begins at. A constant that is
joined to others is rounded as the QUANTIZE rounded it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.op_semantics import JOINS, fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.dequantize_moves import MOVES, moved_input
from converter.tflite import GraphView, Operator, Tensor

_MAX_STEPS = 16


def _begins_at_integers(view: GraphView, tensor: int) -> bool:
    """Whether only moves lie between a DEQUANTIZE and this tensor: `dequantize_moves` takes it."""
    for _ in range(_MAX_STEPS):
        op = view.producer(tensor)
        if op is None or view.op(op).opcode not in MOVES:
            return op is not None and view.op(op).opcode == "DEQUANTIZE"
        tensor = view.op(op).inputs[moved_input(view.op(op))]
    return True


def _places(view: GraphView, op: Operator) -> tuple[int, ...] | None:
    """The inputs that elements come from; None if the operator does more than move them."""
    if len(op.outputs) != 1:
        return None
    if op.opcode in JOINS:
        return tuple(range(len(op.inputs))) if fused_activation(op) == "NONE" else None
    at = moved_input(op)
    others = [t for i, t in enumerate(op.inputs) if i != at and t >= 0]
    if op.opcode not in MOVES or not all(view.is_constant(t) for t in others):
        return None
    source = op.inputs[at]
    return None if view.is_constant(source) or _begins_at_integers(view, source) else (at,)


def _apply(view: GraphView, op: int) -> Edit | None:
    (real,), (result,) = view.op(op).inputs, view.op(op).outputs
    move = view.producer(real)
    if move is None or single_reader(view, real) != op or not is_int8(view.tensor(result)):
        return None
    old = view.op(move)
    places = _places(view, old)
    if places is None or any(view.tensor(old.inputs[i]).dtype != np.float32 for i in places):
        return None
    b = Builder(view)
    inputs = list(old.inputs)
    for i in places:
        inputs[i] = _quantized(b, old.inputs[i], view.tensor(result), view.op(op))
    b.operators.append(dataclasses.replace(old, inputs=tuple(inputs), outputs=(result,)))
    return Edit((move, op), tuple(b.operators), tuple(b.tensors))


def _quantized(b: Builder, source: int, like: Tensor, cast: Operator) -> int:
    """The tensor as integers of the type of `like`."""
    t = b.view.tensor(source)
    if t.data is not None:
        q = np.rint(t.data / np.float32(like.scale)) + like.zero_point
        data = np.clip(q, -128, 127).astype(np.int8)
        return b.constant(data, f"{t.name}/int8", like.quantization)
    integer = b.tensor(Tensor(f"{t.name}/int8", t.shape, like.dtype, like.quantization))
    b.operators.append(dataclasses.replace(cast, inputs=(source,), outputs=(integer,)))
    return integer


RULE = Rule(
    "quantize_moves",
    "takes QUANTIZE of what was computed in float before RESHAPE, TRANSPOSE, CONCATENATION ..., "
    "which then move integers",
    frozenset({"QUANTIZE"}),
    _apply,
    on_integers=True,
)
