# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL and SOFTMAX: parameters and definition."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins import fixed_point as fx
from tflm_custom_ops.builtins.params import Int32Array
from tflm_custom_ops.builtins.rescale import rescale

Array = NDArray[Any]
Shape3 = tuple[int, int, int]
LARGEST_DEPTH = (1 << 30) // (255 * 255)  # sums of products stay in 31 bits, a bias is added
_EXP_BITS = 5  # integer bits of the argument of exp()
_SUM_BITS = 12  # integer bits of the sum


@dataclasses.dataclass(frozen=True, eq=False)
class BatchMatMul:
    """BATCH_MATMUL: y[batch, i, j] = clamp(z_y + rescale(sum_k (a - z_a) * (b - z_b) + bias_j)).

    Strides are in elements; those of ``batch`` are 0 where an operand is repeated. ``bias`` is
    int32 [columns] or None; TFLite has it where FULLY_CONNECTED has such weights.
    """

    batch: Shape3
    a_batch_strides: Shape3
    b_batch_strides: Shape3
    rows: int
    columns: int
    depth: int
    a_row_stride: int
    a_stride: int
    b_column_stride: int
    b_stride: int
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int
    bias: Int32Array | None


@dataclasses.dataclass(frozen=True, eq=False)
class Softmax:
    """SOFTMAX over the last dimension, of int8.

    ``output_bits``: 8 of int8 (scale 1/256, zero point -128), 16 of int16 (1/65536, -32768).

    ``exponentials``: int32 [steps], exp(-d * scale * beta) in Q0.31 of d steps below a row's
    maximum; 0 from there on.
    """

    rows: int
    columns: int
    output_bits: int
    steps: int
    exponentials: Int32Array


def exponentials(scale: float, beta: float) -> Int32Array:
    """The table of `Softmax`, as TFLite's PreprocessSoftmaxScaling and softmax.h compute it."""
    factor = min(beta * scale * (1 << (31 - _EXP_BITS)), (1 << 31) - 1.0)
    if factor <= 1:
        raise ValueError(f"got an input scale of {scale} and beta {beta}, expected larger ones")
    mantissa, shift = np.frexp(factor)
    fixed, shift = int(np.floor(mantissa * (1 << 31) + 0.5)), int(shift)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    largest = ((1 << _EXP_BITS) - 1) * (1 << (31 - _EXP_BITS)) // (1 << shift)
    steps = np.arange(min(largest, 255) + 1, dtype=np.int64)
    scaled = fx.high_product(-steps << shift, fixed)
    return fx.exp_of_negative(scaled, _EXP_BITS).astype(np.int32)


def batch_matmul(op: BatchMatMul, a: Array, b: Array) -> NDArray[np.int8]:
    """int8 [*batch, rows, columns]."""

    def wide(x: Array, strides: tuple[int, ...], shape: tuple[int, ...], zero: int) -> Array:
        flat = np.ascontiguousarray(x).reshape(-1).astype(np.int64) - zero
        return np.lib.stride_tricks.as_strided(
            flat, shape, tuple(8 * s for s in strides), writeable=False
        )

    a_strides = (*op.a_batch_strides, op.a_row_stride, op.a_stride)
    b_strides = (*op.b_batch_strides, op.b_stride, op.b_column_stride)
    left = wide(a, a_strides, (*op.batch, op.rows, op.depth), op.a_zero_point)
    right = wide(b, b_strides, (*op.batch, op.depth, op.columns), op.b_zero_point)
    # float64 sums are exact here: |sum| < 2**53.
    sums = np.rint(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    if op.bias is not None:
        sums = sums + op.bias
    y = rescale(sums, op.out_multiplier, op.out_shift) + op.output_zero_point
    result: NDArray[np.int8] = np.clip(y, op.out_min, op.out_max).astype(np.int8)
    return result


def softmax(op: Softmax, x: Array) -> Array:
    """int8 or int16 [rows, columns]."""
    wide = x.reshape(op.rows, op.columns).astype(np.int64)
    below = wide.max(axis=1, keepdims=True) - wide
    table = np.concatenate([op.exponentials.astype(np.int64), [0]])
    powers = table[np.minimum(below, op.steps)]
    sums = fx.rounding_shift(powers, _SUM_BITS).sum(axis=1, keepdims=True)
    zeros = fx.leading_zeros(sums)
    scale = fx.one_over_one_plus((sums << zeros) - (1 << 31))
    shift = _SUM_BITS - zeros + 31 - op.output_bits
    low = -(1 << (op.output_bits - 1))
    y = fx.rounding_shift(fx.high_product(powers, scale), shift) + low
    return np.clip(y, low, -low - 1).astype(np.int8 if op.output_bits == 8 else np.int16)
