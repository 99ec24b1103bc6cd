# SPDX-License-Identifier: Apache-2.0
"""Linear layers, projections and the residual add (docs/operators.md, Linear)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.parts import Linear, Projection, Residual
from tflm_custom_ops.reference.requant import (
    HALF,
    Int64Array,
    check_int32,
    exact_matmul,
    requantize,
    shifted,
)


def accumulate(p: Linear, x: ArrayLike) -> Int64Array:
    """bias + x . w^T: int64 ``[rows, out_features]`` of x ``[rows, in_features]``."""
    acc = exact_matmul(x, p.weights.T) + p.bias.astype(np.int64)
    return check_int32(acc, "linear accumulator")


def linear(p: Linear, x: ArrayLike) -> Int64Array:
    """One linear layer, requantized: int64 values ``[rows, out_features]``."""
    return requantize(
        accumulate(p, x), p.shift, p.multiplier, p.out_zero_point, p.out_min, p.out_max
    )


def projection(p: Projection, x: ArrayLike) -> Int64Array:
    """A dense or low-rank projection: int64 values ``[rows, out_features]``."""
    return linear(p.up, x if p.down is None else linear(p.down, x))


def add_residual(
    p: Linear, acc: Int64Array, x: ArrayLike, zero_point: int, multiplier: int, shift: int
) -> Int64Array:
    """The requantized sum of a layer's accumulators and a tensor x of the same shape."""
    total = shifted(acc, p.shift) * p.multiplier.astype(np.int64)
    total = total + shifted(np.asarray(x, np.int64) - zero_point, shift) * multiplier
    y: Int64Array = np.clip(p.out_zero_point + ((total + HALF) >> 32), p.out_min, p.out_max)
    return y


def projection_residual(
    p: Projection, x: ArrayLike, residual: Residual, stream: ArrayLike
) -> Int64Array:
    """``projection(p, x)`` with the block's input ``stream`` added in the last requantization."""
    middle = x if p.down is None else linear(p.down, x)
    acc = accumulate(p.up, middle)
    return add_residual(p.up, acc, stream, residual.zero_point, residual.multiplier, residual.shift)
