# SPDX-License-Identifier: Apache-2.0
"""NumPy reference of the builtin operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins import broadcast, casts, images, lookups, moves, products, reductions
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.rescale import rescale

Int64Array = NDArray[np.int64]
Array = NDArray[np.generic]
DType = np.dtype[Any]
_ADD_SHIFT = {np.dtype(np.int8): 20, np.dtype(np.int16): 15}  # TFLite's headroom for sums


def _patches(x: Array, w: p.Window, outside: int) -> Int64Array:
    """[output_height, output_width, kernel_height, kernel_width, input_channels] of the input."""
    rows = np.arange(w.output_height)[:, None] * w.stride_y - w.pad_top
    rows = rows + np.arange(w.kernel_height) * w.dilation_y
    columns = np.arange(w.output_width)[:, None] * w.stride_x - w.pad_left
    columns = columns + np.arange(w.kernel_width) * w.dilation_x
    image = x.reshape(w.input_height, w.input_width, w.input_channels).astype(np.int64)
    r, c = rows[:, None, :, None], columns[None, :, None, :]
    inside = (r >= 0) & (r < w.input_height) & (c >= 0) & (c < w.input_width)
    taken = image[np.clip(r, 0, w.input_height - 1), np.clip(c, 0, w.input_width - 1)]
    return np.where(inside[..., None], taken, outside)


def _requantized(acc: Int64Array, op: Any) -> NDArray[np.int8]:
    y = rescale(acc + op.bias, op.multiplier, op.shift) + op.output_zero_point
    result: NDArray[np.int8] = np.clip(y, op.out_min, op.out_max).astype(np.int8)
    return result


def conv_2d(op: p.Conv2D, x: Array) -> NDArray[np.int8]:
    """int8 [output_height, output_width, output_channels]."""
    patches = _patches(x, op.window, op.input_zero_point) - op.input_zero_point
    # float64 sums are exact here: |sum| < 2**53.
    columns = patches.reshape(*patches.shape[:2], -1).astype(np.float64)
    rows = op.weights.reshape(op.window.output_channels, -1).astype(np.float64)
    return _requantized(np.rint(columns @ rows.T).astype(np.int64), op)


def depthwise_conv_2d(op: p.DepthwiseConv2D, x: Array) -> NDArray[np.int8]:
    """int8 [output_height, output_width, output_channels]."""
    patches = _patches(x, op.window, op.input_zero_point) - op.input_zero_point
    repeated = np.repeat(patches, op.depth_multiplier, axis=-1)
    return _requantized((repeated * op.weights.astype(np.int64)).sum(axis=(2, 3)), op)


def fully_connected(op: p.FullyConnected, x: Array) -> NDArray[np.int8]:
    """int8 [rows, out_features]."""
    rows = x.reshape(op.rows, op.in_features).astype(np.float64) - op.input_zero_point
    # float64 sums are exact here: |sum| < 2**53.
    return _requantized(np.rint(rows @ op.weights.astype(np.float64).T).astype(np.int64), op)


def reshape(op: p.Reshape, x: Array) -> Array:
    """The values in order."""
    return x.reshape(op.count)


def _broadcast(x: Array, shape: p.Shape4, strides: p.Shape4, zero_point: int) -> Int64Array:
    flat = np.ascontiguousarray(x).reshape(-1).astype(np.int64) - zero_point
    bytes_ = tuple(8 * s for s in strides)
    return np.lib.stride_tricks.as_strided(flat, shape, bytes_, writeable=False)


def _clamped(y: Int64Array, op: Any, dtype: DType) -> Array:
    shifted = y + op.output_zero_point
    result: Array = np.clip(shifted, op.out_min, op.out_max).astype(dtype)
    return result


def add(op: p.Add, a: Array, b: Array) -> Array:
    """The operands' type, of ``op.shape``."""
    headroom = _ADD_SHIFT[a.dtype]
    wide_a = _broadcast(a, op.shape, op.a_strides, op.a_zero_point) << headroom
    wide_b = _broadcast(b, op.shape, op.b_strides, op.b_zero_point) << headroom
    scaled_b = op.sign * rescale(wide_b, op.b_multiplier, op.b_shift)
    total = rescale(wide_a, op.a_multiplier, op.a_shift) + scaled_b
    return _clamped(rescale(total, op.out_multiplier, op.out_shift), op, a.dtype)


def mul(op: p.Mul, a: Array, b: Array) -> Array:
    """The operands' type, of ``op.shape``."""
    left = _broadcast(a, op.shape, op.a_strides, op.a_zero_point)
    right = _broadcast(b, op.shape, op.b_strides, op.b_zero_point)
    return _clamped(rescale(left * right, op.out_multiplier, op.out_shift), op, a.dtype)


def pool_2d(op: p.Pool2D, x: Array) -> NDArray[np.int8]:
    """int8 [output_height, output_width, channels]."""
    outside = -1000
    patches = _patches(x, op.window, outside)
    inside = patches != outside
    if op.average:
        total = np.where(inside, patches, 0).sum(axis=(2, 3))
        count = inside.sum(axis=(2, 3))
        # Half away from zero, in integers.
        y = np.sign(total) * ((np.abs(total) + count // 2) // count)
    else:
        y = patches.max(axis=(2, 3))
    result: NDArray[np.int8] = np.clip(y, op.out_min, op.out_max).astype(np.int8)
    return result


def mean(op: p.Mean, x: Array) -> Array:
    """The operand's type, [outer, inner]."""
    wide = x.reshape(op.outer, op.count, op.inner).astype(np.int64) - op.input_zero_point
    return _clamped(rescale(wide.sum(axis=1), op.out_multiplier, op.out_shift), op, x.dtype)


def table(op: p.Table, x: Array) -> NDArray[np.int8]:
    """int8 of the input's shape."""
    return op.lut[x.astype(np.int64) + 128]


def quantize(op: p.Quantize, x: Array) -> Array:
    """``op.type`` of the input's shape."""
    limit = np.float32(1 << 20)
    steps = x.astype(np.float32) / np.float32(op.scale)
    steps = np.clip(np.where(np.isnan(steps), -limit, steps), -limit, limit).astype(np.float64)
    rounded = np.trunc(steps + np.copysign(0.5, steps)).astype(np.int64)
    y = np.clip(rounded + op.zero_point, op.out_min, op.out_max)
    result: Array = y.astype(p.element_type(op.type))
    return result


def requantize(op: p.Requantize, x: Array) -> Array:
    """``op.output_type`` of the input's shape."""
    wide = x.astype(np.int64) - op.input_zero_point
    y = rescale(wide, op.out_multiplier, op.out_shift) + op.output_zero_point
    result: Array = np.clip(y, op.out_min, op.out_max).astype(p.element_type(op.output_type))
    return result


def dequantize(op: p.Dequantize, x: Array) -> NDArray[np.float32]:
    """float32 of the input's shape; the product is exact before it is rounded."""
    result: NDArray[np.float32] = (op.scale * (x.astype(np.float64) - op.zero_point)).astype(
        np.float32
    )
    return result


_UNARY: dict[type, Callable[..., Array]] = {
    p.Conv2D: conv_2d,
    p.DepthwiseConv2D: depthwise_conv_2d,
    p.FullyConnected: fully_connected,
    p.Reshape: reshape,
    p.Pool2D: pool_2d,
    p.Mean: mean,
    p.MeanInt16: mean,
    p.Table: table,
    p.Quantize: quantize,
    p.Requantize: requantize,
    p.Dequantize: dequantize,
    products.Softmax: products.softmax,
    reductions.Reduce: reductions.reduce,
    casts.Cast: casts.cast,
    lookups.NegateFloat: lookups.negate_float,
    images.ResizeBilinear: images.resize_bilinear,
    images.ResizeNearest: images.resize_nearest,
}
_BINARY: dict[type, Callable[..., Array]] = {
    p.Add: add,
    p.AddInt16: add,
    p.Mul: mul,
    p.MulInt16: mul,
    products.BatchMatMul: products.batch_matmul,
    broadcast.SquaredDifference: broadcast.squared_difference,
    broadcast.Divide: broadcast.divide,
    broadcast.CompareInt8: broadcast.compare_int8,
    broadcast.CompareInt32: broadcast.compare_int32,
    broadcast.ArithmeticInt32: broadcast.arithmetic_int32,
    broadcast.ExtremeInt8: broadcast.extreme_int8,
    lookups.Gather: lookups.gather,
}


def run(op: object, *operands: Array) -> tuple[Array, ...]:
    """Runs a builtin operator.

    Args:
      op: its parameters.
      operands: all of its inputs, constants included, in order.

    Returns:
      Each output, of any shape of its size.
    """
    if isinstance(op, moves.Moves):
        return moves.run(op, *operands)
    if isinstance(op, broadcast.Select):
        return (broadcast.select(op, *operands),)
    if isinstance(op, images.TransposeConv):
        return (images.transpose_conv(op, operands[2]),)
    if type(op) in _BINARY:
        return (_BINARY[type(op)](op, *operands[:2]),)
    return (_UNARY[type(op)](op, operands[0]),)
