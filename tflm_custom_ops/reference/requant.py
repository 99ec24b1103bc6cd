# SPDX-License-Identifier: Apache-2.0
"""The one rounding rule of the operators (docs/operators.md, Rounding)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Int64Array = NDArray[np.int64]

HALF = 1 << 31


def check_int32(values: Int64Array, what: str) -> Int64Array:
    """Returns ``values`` if they fit int32; raises OverflowError otherwise.

    The converter proves this for every sum, so a failure is a fault in the parameters.
    """
    if values.size and (int(values.min()) < -(1 << 31) or int(values.max()) >= 1 << 31):
        raise OverflowError(
            f"{what}: got values in [{values.min()}, {values.max()}], expected int32; "
            "the operator's parameters break the converter's promise"
        )
    return values


def mulh(a: ArrayLike, m: ArrayLike) -> Int64Array:
    """(a * m + 2**31) >> 32 of int32 values, the SMMULR instruction."""
    return (np.asarray(a, np.int64) * np.asarray(m, np.int64) + HALF) >> 32


def shifted(acc: ArrayLike, shift: int) -> Int64Array:
    """acc << shift, which must stay inside int32."""
    return check_int32(np.asarray(acc, np.int64) << shift, "accumulator << shift")


def requantize(
    acc: ArrayLike, shift: int, multiplier: ArrayLike, zero_point: int, low: int, high: int
) -> Int64Array:
    """clamp(zero_point + mulh(acc << shift, multiplier), low, high)."""
    return np.clip(zero_point + mulh(shifted(acc, shift), multiplier), low, high)


def exact_matmul(a: ArrayLike, b: ArrayLike) -> Int64Array:
    """Integer matrix product in float64, exact because every partial sum is below 2**53."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    bound = np.abs(x).max(initial=0) * np.abs(y).max(initial=0) * x.shape[-1]
    if bound >= 1 << 53:
        raise OverflowError(f"matrix product: got a bound of {bound:.3g}, expected < 2**53")
    return (x @ y).astype(np.int64)
