# SPDX-License-Identifier: Apache-2.0
"""Images that grow: RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, TRANSPOSE_CONV."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins.params import Int8Array, Int32Array, Window
from tflm_custom_ops.builtins.rescale import rescale

Array = NDArray[Any]
_BITS = 10  # of a position between two pixels


@dataclasses.dataclass(frozen=True)
class ResizeBilinear:
    """RESIZE_BILINEAR of int8 images [batches, height, width, channels].

    Scales are input pixels per output pixel, times 2**10; ``half_pixel`` 1 aligns centers.
    """

    batches: int
    input_height: int
    input_width: int
    channels: int
    output_height: int
    output_width: int
    height_scale: int
    width_scale: int
    half_pixel: int


@dataclasses.dataclass(frozen=True, eq=False)
class ResizeNearest:
    """RESIZE_NEAREST_NEIGHBOR: pixel [i, j] is the input's [rows[i], columns[j]].

    ``rows``, ``columns``: int32, one for each of the output.
    """

    batches: int
    input_height: int
    input_width: int
    pixel_bytes: int
    output_height: int
    output_width: int
    rows: Int32Array
    columns: Int32Array


@dataclasses.dataclass(frozen=True, eq=False)
class TransposeConv:
    """TRANSPOSE_CONV: each input pixel adds its kernel to the output at stride distances.

    The window is that of the convolution from output to input. ``weights`` int8 [output_channels,
    kernel_height, kernel_width, input_channels].
    """

    window: Window
    input_zero_point: int
    output_zero_point: int
    out_min: int
    out_max: int
    weights: Int8Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


def _between(count: int, size: int, scale: int, half_pixel: int) -> tuple[Array, Array, Array]:
    """Positions of ``count`` outputs in 2**-10 pixels, and the pixels before and after."""
    at = np.arange(count, dtype=np.int64) * scale
    if half_pixel:
        at = at + scale // 2 - (1 << (_BITS - 1))
    before = np.maximum(at, 0) >> _BITS
    after = np.minimum((at + (1 << _BITS) - 1) >> _BITS, size - 1)
    return at - (before << _BITS), before, after


def resize_bilinear(op: ResizeBilinear, x: Array) -> NDArray[np.int8]:
    """int8 [batches, output_height, output_width, channels]."""
    image = x.reshape(op.batches, op.input_height, op.input_width, op.channels).astype(np.int64)
    dy, top, bottom = _between(op.output_height, op.input_height, op.height_scale, op.half_pixel)
    dx, left, right = _between(op.output_width, op.input_width, op.width_scale, op.half_pixel)
    one = 1 << _BITS
    fy, fx = dy[:, None, None], dx[:, None]
    rows = image[:, top] * (one - fy) + image[:, bottom] * fy
    total = rows[:, :, left] * (one - fx) + rows[:, :, right] * fx
    half = 1 << (2 * _BITS - 1)
    y = np.sign(total) * ((np.abs(total) + half) >> (2 * _BITS))
    result: NDArray[np.int8] = y.astype(np.int8)
    return result


def resize_nearest(op: ResizeNearest, x: Array) -> Array:
    """[batches, output_height, output_width] pixels, flat."""
    pixels = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    image = pixels.reshape(op.batches, op.input_height, op.input_width, op.pixel_bytes)
    taken = image[:, op.rows][:, :, op.columns]
    return np.ascontiguousarray(taken).reshape(-1).view(x.dtype)


def transpose_conv(op: TransposeConv, x: Array) -> NDArray[np.int8]:
    """int8 [output_height, output_width, output_channels]."""
    w = op.window
    image = x.reshape(w.input_height, w.input_width, w.input_channels).astype(np.int64)
    added = np.einsum("ijc,okmc->ikjmo", image - op.input_zero_point, op.weights.astype(np.int64))
    height = (w.input_height - 1) * w.stride_y + w.kernel_height
    width = (w.input_width - 1) * w.stride_x + w.kernel_width
    height = max(height, w.pad_top + w.output_height)
    width = max(width, w.pad_left + w.output_width)
    whole: NDArray[np.int64] = np.zeros((height, width, w.output_channels), np.int64)
    for k in range(w.kernel_height):
        for m in range(w.kernel_width):
            rows = slice(k, k + (w.input_height - 1) * w.stride_y + 1, w.stride_y)
            columns = slice(m, m + (w.input_width - 1) * w.stride_x + 1, w.stride_x)
            whole[rows, columns] += added[:, k, :, m]
    inside = whole[
        w.pad_top : w.pad_top + w.output_height, w.pad_left : w.pad_left + w.output_width
    ]
    y = rescale(inside + op.bias, op.multiplier, op.shift) + op.output_zero_point
    return np.clip(y, op.out_min, op.out_max).astype(np.int8)
