# SPDX-License-Identifier: Apache-2.0
"""SOFTMAX of int16 as TFLM computes it (softmax_common.cc, reference/softmax.h).

Its two tables are made in float32 there and in float64 by LiteRT: an output in 10**4 differs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.builtins.common import Tensors
from converter.tflite import Operator
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.rescale import Int64Array, rescale

Floats = NDArray[np.float32]
_LOW, _HIGH = -(1 << 15), (1 << 15) - 1
_RANGE = _HIGH - _LOW
_STEPS = 512


def _rounded(x: Floats) -> Floats:
    """Half away from zero, as std::round."""
    result: Floats = np.trunc(x + np.copysign(np.float32(0.5), x))
    return result


def _table(function: Callable[[Floats], Floats], first: Floats, step: Floats) -> Int64Array:
    """LUTPopulate of common.h: 512 values and one more, each moved by half of the error that a
    straight line to the next has in the middle."""
    y_scale = np.float32(2.0) / np.float32(_RANGE)
    per_real = np.float32(_RANGE + 1) / (y_scale * np.float32(_HIGH) - y_scale * np.float32(_LOW))
    places = first + np.arange(_STEPS + 1, dtype=np.float32) * step
    at = function(places) * per_real
    middle = function(places[:-1] + step / np.float32(2)) * per_real
    line = _rounded((at[1:] + _rounded(at[:-1])) / np.float32(2))
    moved = _rounded((line - _rounded(middle)) / np.float32(2))
    values = np.append(_rounded(at[:-1]) - moved, _rounded(at[-1:]))
    return np.clip(values, _LOW, _HIGH).astype(np.int64)


def _step(scale: Floats, first: Floats, zero_point: int) -> Floats:
    step: Floats = (scale * np.float32(_HIGH - zero_point) - first) / np.float32(_STEPS)
    return step


@functools.cache
def _tables() -> tuple[Int64Array, Int64Array]:
    """exp from -10 to 0, and 1 / (1 + x) from 0 to 1."""
    found = []
    for largest, zero_point, function in (
        (10.0, _HIGH, lambda x: np.exp(x.astype(np.float64)).astype(np.float32)),
        (1.0, _LOW, lambda x: np.float32(1) / (np.float32(1) + x)),
    ):
        scale: Any = np.float32(largest) / np.float32(_RANGE)
        first: Any = scale * np.float32(_LOW - zero_point)
        found.append(_table(function, first, _step(scale, first, zero_point)))
    return found[0], found[1]


def _looked_up(table: Int64Array, x: Int64Array) -> Int64Array:
    """Between two values of a table (LUTLookup of common.h)."""
    value = np.clip(x, _LOW, _HIGH)
    index, offset = 256 + (value >> 7), value & 127
    base = table[index]
    between: Int64Array = ((table[index + 1] - base) * offset + 64) >> 7
    result: Int64Array = base + between
    return result


def softmax_int16(tensors: Tensors, op: Operator, x: NDArray[Any]) -> NDArray[np.int16]:
    """int16 of the input's shape, over its last dimension."""
    exponential, inverse = _tables()
    factor = p.quantize_multiplier(tensors[op.inputs[0]].scale * op.options.beta / (10.0 / _RANGE))
    wide = x.astype(np.int64)
    below = rescale(wide - wide.max(axis=-1, keepdims=True), factor.multiplier, factor.shift)
    powers = _looked_up(exponential, below + _HIGH)
    total = powers.sum(axis=-1, keepdims=True)
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # it is positive: the largest
    shifted = ((total << (31 - bits)) + (1 << 13)) >> 14
    factors = _looked_up(inverse, shifted - 3 * (1 << 15))
    shift = bits - 1
    result: Int64Array = (powers * factors + (1 << (shift - 1))) >> shift
    clipped: NDArray[np.int16] = np.clip(result, 0, _HIGH).astype(np.int16)
    return clipped
