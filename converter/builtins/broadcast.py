# SPDX-License-Identifier: Apache-2.0
"""Operators on two operands with broadcasting, beside ADD and MUL of int8."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.builtins.common import (
    BuiltinError,
    Tensors,
    broadcast_strides,
    int8_tensor,
    same_quantization,
    shape_4,
)
from converter.tflite import Operator, Tensor
from tflm_custom_ops.builtins import broadcast as b
from tflm_custom_ops.builtins import params as p


def over(a: Tensor, c: Tensor, y: Tensor) -> b.Broadcast:
    """``y`` has the broadcast shape; dimensions are joined where there are more than four."""
    (a_shape, c_shape), shape = joined((a.shape, c.shape), y.shape)
    strides = (broadcast_strides(s, shape) for s in (a_shape, c_shape))
    return b.Broadcast(shape, *strides)


def joined(
    operands: tuple[tuple[int, ...], ...], shape: tuple[int, ...]
) -> tuple[list[tuple[int, ...]], p.Shape4]:
    """Operands and result with neighbours joined where each operand repeats both or neither."""
    rank = len(shape)
    full = [(1,) * (rank - len(s)) + s for s in operands]
    if rank <= 4:
        return list(full), shape_4(shape)
    groups: list[list[int]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        repeats = [s[axis] == 1 for s in full]
        if groups and [s[groups[-1][0]] == 1 for s in full] == repeats:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    sizes = [[int(np.prod([s[i] for i in g])) for g in groups] for s in (*full, shape)]
    if len(groups) > 4:
        raise BuiltinError(f"got shape {list(shape)}, expected four dimensions after joining")
    return [tuple(s) for s in sizes[:-1]], shape_4(tuple(sizes[-1]))


def _int8(tensors: Tensors, op: Operator) -> tuple[Tensor, Tensor, Tensor]:
    a, c = (int8_tensor(tensors[i], "operand") for i in op.inputs)
    return a, c, tensors[op.outputs[0]]


def squared_difference(tensors: Tensors, op: Operator) -> b.SquaredDifference:
    """As TFLM's squared_difference.cc."""
    a, c, y = _int8(tensors, op)
    int8_tensor(y, "output")
    twice_max = 2 * max(a.scale, c.scale)
    factors = [p.quantize_multiplier(t.scale / twice_max) for t in (a, c)]
    out = p.quantize_multiplier(twice_max * twice_max / ((1 << 14) * y.scale))
    if out.shift > 1:
        raise BuiltinError(f"the scale of {y.name} is too small for that of its operands")
    return b.SquaredDifference(
        over(a, c, y),
        *(a.zero_point, factors[0].multiplier, factors[0].shift),
        *(c.zero_point, factors[1].multiplier, factors[1].shift),
        *(y.zero_point, out.multiplier, out.shift),
    )


def compare(tensors: Tensors, op: Operator) -> b.CompareInt8 | b.CompareInt32:
    """As TFLM's comparisons.cc, of int8 or int32."""
    a, c, y = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    if y.dtype != np.bool_:
        raise BuiltinError(f"output {y.name}: got {y.dtype}, expected bool")
    kind, spread = int(b.CompareKind[op.name]), over(a, c, y)
    if a.dtype == c.dtype == np.int32:
        return b.CompareInt32(spread, kind)
    _int8(tensors, op)
    if max(a.scale, c.scale) >= 1:
        raise BuiltinError(f"got scales {a.scale} and {c.scale}, expected less than 1")
    factors = [p.quantize_multiplier(t.scale) for t in (a, c)]
    return b.CompareInt8(
        *(spread, kind),
        *(a.zero_point, factors[0].multiplier, factors[0].shift),
        *(c.zero_point, factors[1].multiplier, factors[1].shift),
    )


def is_int32(tensors: Tensors, op: Operator) -> bool:
    """Whether both operands and the result are integers without a scale."""
    return all(tensors[i].dtype == np.int32 for i in (*op.inputs, op.outputs[0]))


def arithmetic_int32(tensors: Tensors, op: Operator) -> b.ArithmeticInt32:
    """ADD, SUB, MUL, MAXIMUM, MINIMUM of int32."""
    a, c, y = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    if getattr(op.options, "fusedActivationFunction", 0):
        raise BuiltinError("a fused activation of int32 is not supported")  # TFLM ignores some
    return b.ArithmeticInt32(over(a, c, y), int(b.Arithmetic[op.name]))


def extreme(tensors: Tensors, op: Operator) -> Any:
    """MAXIMUM and MINIMUM, as TFLM's maximum_minimum.cc: operands of one scale, or int32."""
    if is_int32(tensors, op):
        return arithmetic_int32(tensors, op)
    a, c, y = _int8(tensors, op)
    for t in (a, c):
        same_quantization(t, int8_tensor(y, "output"))
    return b.ExtremeInt8(over(a, c, y), int(op.name == "MAXIMUM"))


def logical(tensors: Tensors, op: Operator) -> b.ExtremeInt8:
    """LOGICAL_AND and LOGICAL_OR: the smaller and the larger of two bytes, 0 or 1."""
    a, c, y = tensors[op.inputs[0]], tensors[op.inputs[1]], tensors[op.outputs[0]]
    if not a.dtype == c.dtype == y.dtype == np.bool_:
        raise BuiltinError(f"got {a.dtype} and {c.dtype} to {y.dtype}, expected bool")
    return b.ExtremeInt8(over(a, c, y), int(op.name == "LOGICAL_OR"))


def select(tensors: Tensors, op: Operator) -> b.Select:
    """SELECT and SELECT_V2: the values are copied as they are."""
    condition, a, c = (tensors[i] for i in op.inputs)
    y = tensors[op.outputs[0]]
    if condition.dtype != np.bool_ or not a.dtype == c.dtype == y.dtype:
        raise BuiltinError(
            f"got {condition.dtype}, {a.dtype} and {c.dtype}, expected bool, one type"
        )
    if a.quantization is not None:
        for t in (a, c):
            same_quantization(t, y)
    shapes = (condition.shape, a.shape, c.shape)
    if op.name == "SELECT" and len(condition.shape) == 1 and len(a.shape) > 1:
        # A condition for each outermost part, not broadcast.
        shapes = (condition.shape + (1,) * (len(a.shape) - 1), a.shape, c.shape)
    found, shape = joined(shapes, y.shape)
    strides = [broadcast_strides(s, shape) for s in found]
    spread = b.Broadcast(shape, strides[1], strides[2])
    return b.Select(spread, strides[0], y.dtype.itemsize)
