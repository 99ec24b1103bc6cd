# SPDX-License-Identifier: Apache-2.0
"""Operators on two operands with broadcasting, beside ADD and MUL: parameters and definition."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins import fixed_point as fx
from tflm_custom_ops.builtins.params import Shape4
from tflm_custom_ops.builtins.rescale import rescale

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Broadcast:
    """Shape of the result; element strides of the operands, 0 where they are repeated."""

    shape: Shape4
    a_strides: Shape4
    b_strides: Shape4


@dataclasses.dataclass(frozen=True)
class SquaredDifference:
    """SQUARED_DIFFERENCE: y = clamp(z_y + rescale((a' - b')**2, out)).

    a' = rescale((a - z_a) << 7, a), b' likewise.
    """

    over: Broadcast
    a_zero_point: int
    a_multiplier: int
    a_shift: int
    b_zero_point: int
    b_multiplier: int
    b_shift: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int


@dataclasses.dataclass(frozen=True)
class Divide:
    """DIV of int8: y = clamp(z_y + rescale(a' / b', out)), a' = a - z_a, b' likewise.

    The quotient is a' times a reciprocal in 31 bits. Where TFLite's kernels compute anything, this
    does not: by 0 it is the largest number of the sign of a', 0 for 0; below 2**-31 it is 0.
    """

    over: Broadcast
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int


class CompareKind(enum.IntEnum):
    """VIT_COMPARE_... of vit_builtins.h."""

    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    LESS_EQUAL = 3
    GREATER = 4
    GREATER_EQUAL = 5


@dataclasses.dataclass(frozen=True)
class CompareInt8:
    """A comparison of int8 operands of any scales: of rescale((a - z_a) << 8, a) and b likewise."""

    over: Broadcast
    kind: int
    a_zero_point: int
    a_multiplier: int
    a_shift: int
    b_zero_point: int
    b_multiplier: int
    b_shift: int


@dataclasses.dataclass(frozen=True)
class CompareInt32:
    """A comparison of int32 operands."""

    over: Broadcast
    kind: int


class Arithmetic(enum.IntEnum):
    """VIT_INT32_... of vit_builtins.h."""

    ADD = 0
    SUB = 1
    MUL = 2
    MAXIMUM = 3
    MINIMUM = 4


@dataclasses.dataclass(frozen=True)
class ArithmeticInt32:
    """ADD, SUB, MUL, MAXIMUM, MINIMUM of int32, modulo 2**32."""

    over: Broadcast
    kind: int


@dataclasses.dataclass(frozen=True)
class ExtremeInt8:
    """MAXIMUM (``largest`` 1) and MINIMUM of int8 operands of one scale."""

    over: Broadcast
    largest: int


@dataclasses.dataclass(frozen=True)
class Select:
    """SELECT, SELECT_V2: a where ``condition`` (bool, with strides of its own), else b."""

    over: Broadcast
    condition_strides: Shape4
    element_bytes: int


def _spread(x: Array, op: Broadcast, strides: Shape4) -> Array:
    flat = np.ascontiguousarray(x).reshape(-1)
    sizes = tuple(flat.itemsize * s for s in strides)
    return np.lib.stride_tricks.as_strided(flat, op.shape, sizes, writeable=False)


def _both(op: Any, a: Array, b: Array) -> tuple[Array, Array]:
    over: Broadcast = op.over
    left, right = _spread(a, over, over.a_strides), _spread(b, over, over.b_strides)
    return left.astype(np.int64), right.astype(np.int64)


def _scaled(op: Any, a: Array, b: Array, bits: int) -> tuple[Array, Array]:
    left, right = _both(op, a, b)
    return (
        rescale((left - op.a_zero_point) << bits, op.a_multiplier, op.a_shift),
        rescale((right - op.b_zero_point) << bits, op.b_multiplier, op.b_shift),
    )


def squared_difference(op: SquaredDifference, a: Array, b: Array) -> NDArray[np.int8]:
    """int8 of the broadcast shape."""
    left, right = _scaled(op, a, b, 7)
    y = rescale((left - right) ** 2, op.out_multiplier, op.out_shift) + op.output_zero_point
    return np.clip(y, -128, 127).astype(np.int8)


def divide(op: Divide, a: Array, b: Array) -> NDArray[np.int8]:
    """int8 of the broadcast shape."""
    left, right = _both(op, a, b)
    x, by = left - op.a_zero_point, right - op.b_zero_point
    size = np.maximum(np.abs(by), 1)
    zeros = fx.leading_zeros(size)
    inverse = fx.one_over_one_plus((size << zeros) - (1 << 31)) * np.where(by < 0, -1, 1)
    headroom = fx.leading_zeros(np.maximum(np.where(x < 0, ~x, x), 1)) - 1
    headroom = np.where((x == 0) | (x == -1), 31, headroom)
    quotient = fx.high_product(x << headroom, inverse)
    shift = (31 - zeros) + headroom - op.out_shift
    value = fx.high_product(quotient, op.out_multiplier)
    y = np.where(shift > 31, 0, fx.rounding_shift(value, np.minimum(shift, 31)))
    y = op.output_zero_point + np.where(by == 0, np.sign(x) * 256, y)
    return np.clip(y, op.out_min, op.out_max).astype(np.int8)


_COMPARE: dict[int, Callable[[Array, Array], Array]] = {
    CompareKind.EQUAL: np.equal,
    CompareKind.NOT_EQUAL: np.not_equal,
    CompareKind.LESS: np.less,
    CompareKind.LESS_EQUAL: np.less_equal,
    CompareKind.GREATER: np.greater,
    CompareKind.GREATER_EQUAL: np.greater_equal,
}


def compare_int8(op: CompareInt8, a: Array, b: Array) -> NDArray[np.bool_]:
    """bool of the broadcast shape."""
    return _COMPARE[op.kind](*_scaled(op, a, b, 8))


def compare_int32(op: CompareInt32, a: Array, b: Array) -> NDArray[np.bool_]:
    """bool of the broadcast shape."""
    return _COMPARE[op.kind](*_both(op, a, b))


_ARITHMETIC: dict[int, Callable[[Array, Array], Array]] = {
    Arithmetic.ADD: np.add,
    Arithmetic.SUB: np.subtract,
    Arithmetic.MUL: np.multiply,
    Arithmetic.MAXIMUM: np.maximum,
    Arithmetic.MINIMUM: np.minimum,
}


def arithmetic_int32(op: ArithmeticInt32, a: Array, b: Array) -> NDArray[np.int32]:
    """int32 of the broadcast shape."""
    return _ARITHMETIC[op.kind](*_both(op, a, b)).astype(np.int32)


def extreme_int8(op: ExtremeInt8, a: Array, b: Array) -> NDArray[np.int8]:
    """int8 of the broadcast shape."""
    both = _both(op, a, b)
    return (np.maximum(*both) if op.largest else np.minimum(*both)).astype(np.int8)


def select(op: Select, condition: Array, a: Array, b: Array) -> Array:
    """Of the operands' type and the broadcast shape."""
    chosen = _spread(condition, op.over, op.condition_strides)
    left, right = (
        _spread(x, op.over, s) for x, s in ((a, op.over.a_strides), (b, op.over.b_strides))
    )
    return np.where(chosen, left, right)
