# SPDX-License-Identifier: Apache-2.0
"""The one rounding rule of the operators (docs/operators.md, Rounding)."""

from __future__ import annotations

from typing import Any

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
    """Matrix product of integers as numbers of a floating type that holds every partial sum.

    That is float32 where they are below 2**24, else float64.
    """
    x, y = np.asarray(a), np.asarray(b)
    bound = _largest(x) * _largest(y) * x.shape[-1]
    if bound >= 1 << 53:
        raise OverflowError(f"matrix product: got a bound of {bound:.3g}, expected < 2**53")
    floating = np.float32 if bound < 1 << 24 else np.float64
    return np.asarray((x.astype(floating) @ y.astype(floating)).astype(np.int64))


def _largest(values: NDArray[Any]) -> int:
    """The largest magnitude; 0 of nothing."""
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))
