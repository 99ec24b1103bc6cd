# SPDX-License-Identifier: Apache-2.0
"""Pointwise int8 operators: what TFLite computes of each of the 256 inputs.

Each function returns int8 [256], the results of -128..127.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins import fixed_point as fx
from tflm_custom_ops.builtins.params import Int8Array, TfliteMultiplier, quantize_multiplier
from tflm_custom_ops.builtins.rescale import rescale

Int64Array = NDArray[np.int64]
Scale = tuple[float, int]  # scale and zero point
CODES = np.arange(-128, 128, dtype=np.int64)
_Q4 = 4  # integer bits of the arguments of logistic and tanh
_RSQRT_BITS = 20  # that keep 1 / sqrt of an integer


def _int8(values: Int64Array) -> Int8Array:
    return np.clip(values, -128, 127).astype(np.int8)


def _in_q4(x: Scale) -> tuple[Int64Array, int]:
    """The inputs in Q4.27, and the distance from zero from where functions saturate."""
    mantissa, shift = math.frexp(x[0] * (1 << (31 - _Q4)))
    factor = TfliteMultiplier(math.floor(mantissa * (1 << 31) + 0.5), shift)
    radius = math.floor(((1 << _Q4) - 1) * 2.0 ** (31 - _Q4) / 2.0**shift)
    inside = np.clip(CODES - x[1], 1 - radius, radius - 1) if radius > 0 else 0 * CODES
    return rescale(inside, factor.multiplier, factor.shift), radius


def _saturating(x: Scale, values: Int64Array, radius: int, low: int, high: int) -> Int8Array:
    centered = CODES - x[1]
    ends = np.where(centered <= -radius, low, np.where(centered >= radius, high, values))
    return _int8(ends)


def logistic(x: Scale) -> Int8Array:
    """1 / (1 + exp(-x)), in steps of 1/256 from -128 (integer_ops/logistic.h)."""
    values, radius = _in_q4(x)
    bits = fx.rounding_shift(fx.logistic(values, _Q4), 31 - 8) - 128
    return _saturating(x, bits, radius, -128, 127)


def tanh(x: Scale) -> Int8Array:
    """tanh(x), in steps of 1/128 (integer_ops/tanh.h)."""
    values, radius = _in_q4(x)
    return _saturating(x, fx.rounding_shift(fx.tanh(values, _Q4), 31 - 7), radius, -128, 127)


@functools.lru_cache(maxsize=1 << 15)
def _inverse_root(value: int) -> tuple[int, int]:
    """1 / sqrt(value) as multiplier and shift: GetInvSqrtQuantizedMultiplierExp of common.h."""
    if value <= 1:
        return fx.ONE, 0
    shift = 11
    while value >= 1 << 29:
        value, shift = value // 4, shift + 1
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    shift -= pairs
    start = np.array([value << 2 * pairs], np.int64) >> 1
    half, x = fx.rounding_shift(start, 1), np.array([1 << 28], np.int64)
    for _ in range(5):
        cube = fx.saturated(fx.high_product(fx.high_product(x, x), x) << 6)
        difference = fx.high_product(x, (1 << 28) + (1 << 27)) - fx.high_product(half, cube)
        x = fx.saturated(difference << 3)
    root = int(fx.high_product(x, 1518500250)[0])
    return (root << -shift, 0) if shift < 0 else (root, -shift)


def inverse_roots(x: Scale, y: Scale, values: Int64Array, highest: int) -> Int64Array:
    """1 / sqrt(x) of quantized values (elementwise.cc), before the output's type clamps them.

    Values that are not positive give ``highest``.
    """
    product = np.sqrt(np.float32(x[0])) * np.float32(y[0])
    factor = quantize_multiplier(1.0 / float(product))
    distinct, places = np.unique(values - x[1], return_inverse=True)
    results = []
    for value in distinct:
        if value <= 0:
            results.append(highest)
            continue
        root = _inverse_root(int(value))
        one = rescale(np.array(1), root[0], root[1] + _RSQRT_BITS)
        scaled = rescale(one, factor.multiplier, factor.shift - _RSQRT_BITS)
        results.append(int(scaled) + y[1])
    return np.array(results, np.int64)[places].reshape(values.shape)


def rsqrt(x: Scale, y: Scale) -> Int8Array:
    """1 / sqrt(x); inputs that are not positive give the largest output."""
    return _int8(inverse_roots(x, y, CODES, 127))


def of_real(x: Scale, y: Scale, function: Callable[[float], float]) -> Int8Array:
    """A function of real numbers in float32, as TFLite's LUTPopulate rounds it."""
    inverse = np.float32(1) / np.float32(y[0])
    results = []
    for value in CODES - x[1]:
        real = np.float32(function(float(np.float32(x[0]) * np.float32(value))))
        steps = float(real * inverse)
        rounded = math.floor(abs(steps) + 0.5) if abs(steps) < 1e6 else 10**6
        results.append(int(math.copysign(rounded, steps)) + y[1])
    return _int8(np.array(results, np.int64))


def gelu(x: Scale, y: Scale, approximate: bool) -> Int8Array:
    """x times the normal distribution's integral up to x, or its approximation by tanh."""

    def tanh_form(v: float) -> float:
        return 0.5 * v * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (v + 0.044715 * v**3)))

    def erf_form(v: float) -> float:
        return 0.5 * v * math.erfc(-v / math.sqrt(2.0))

    return of_real(x, y, tanh_form if approximate else erf_form)


def absolute(x: Scale, y: Scale) -> Int8Array:
    """|x| (elementwise.cc)."""
    sizes = np.abs(CODES - x[1])
    if x[0] != y[0]:
        factor = quantize_multiplier(float(np.float32(x[0]) / np.float32(y[0])))
        sizes = rescale(sizes, factor.multiplier, factor.shift)
    return _int8(sizes + y[1])
