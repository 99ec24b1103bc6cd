# SPDX-License-Identifier: Apache-2.0
"""Fixed-point functions that TFLite's int8 kernels take from gemmlowp, on int64 arrays.

A value in Qi.f has i integer bits and f = 31 - i fractional bits. Source: gemmlowp's
fixedpoint/fixedpoint.h, https://github.com/google/gemmlowp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
ONE = (1 << 31) - 1  # 1 in Q0.31, which it just misses

# exp(-2**e) in Q0.31 of e = -2, -1, 0, ...
_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def rounding_shift(x: Int64Array, bits: Any) -> Int64Array:
    """RoundingDivideByPOT: x / 2**bits, half away from zero."""
    amount = np.asarray(bits, np.int64)
    mask = (np.int64(1) << amount) - 1
    result: Int64Array = (x >> amount) + ((x & mask) > (mask >> 1) + (x < 0))
    return result


def high_product(a: Int64Array, b: Any) -> Int64Array:
    """SaturatingRoundingDoublingHighMul without its one overflow: a * b / 2**31, rounded."""
    product = a * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    result: Int64Array = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    return result


def saturated(x: Int64Array) -> Int64Array:
    """Of 32 bits."""
    return np.clip(x, -(1 << 31), ONE)


def _exp_of_a_quarter(a: Int64Array) -> Int64Array:
    """exp(a) of a in [-1/4, 0), Q0.31: Taylor's series around -1/8."""
    middle, third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = high_product(x, x)
    x3, x4 = high_product(x2, x), high_product(x2, x2)
    tail = rounding_shift(high_product(rounding_shift(x4, 2) + x3, third) + x2, 1)
    return middle + high_product(x + tail, middle)


def exp_of_negative(a: Int64Array, integer_bits: int) -> Int64Array:
    """exp(a) in Q0.31 of a <= 0 with ``integer_bits`` <= 5."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    last = (a & (quarter - 1)) - quarter
    result = _exp_of_a_quarter(saturated(last << integer_bits))
    rest = last - a
    for exponent, power in enumerate(_POWERS, -2):
        if exponent < integer_bits:
            there = rest >> (fraction + exponent) & 1 != 0
            result = np.where(there, high_product(result, power), result)
    return np.where(a == 0, ONE, result)


def _quotient(a: Int64Array) -> Int64Array:
    """2 / (1 + a) in Q2.29 of a in [0, 1], Q0.31: three steps of Newton's division."""
    half = (a + ONE + 1) >> 1
    x = 1515870810 + high_product(half, -1010580540)
    for _ in range(3):
        x = x + saturated(high_product(x, (1 << 29) - high_product(half, x)) << 2)
    return x


def one_over_one_plus(a: Int64Array) -> Int64Array:
    """1 / (1 + a) in Q0.31 of a in [0, 1], Q0.31."""
    return saturated(_quotient(a) << 1)


def logistic(a: Int64Array, integer_bits: int) -> Int64Array:
    """1 / (1 + exp(-a)) in Q0.31."""
    positive = one_over_one_plus(exp_of_negative(-np.abs(a), integer_bits))
    result = np.where(a > 0, positive, ONE - positive)
    return np.where(a == 0, 1 << 30, result)


def tanh(a: Int64Array, integer_bits: int) -> Int64Array:
    """tanh(a) in Q0.31; ``integer_bits`` of a <= 4."""
    power = exp_of_negative(-np.abs(a), integer_bits + 1)  # exp(-2 |a|)
    size = saturated((_quotient(power) - (1 << 29)) << 2)
    return np.where(a == 0, 0, np.sign(a) * size)


def leading_zeros(x: Int64Array) -> Int64Array:
    """Of x in [1, 2**32) as 32 bits."""
    return 32 - np.floor(np.log2(x.astype(np.float64))).astype(np.int64) - 1
