# SPDX-License-Identifier: Apache-2.0
"""Parameters of the builtin operators; `vit_builtins.h` has the same structs in C.

Field names and their order agree with the C structs; arrays become pointers. A pair
(multiplier, shift) is TFLite's: real factor = multiplier * 2**(shift - 31), multiplier in
[2**30, 2**31) or 0, a positive shift is to the left.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8Array = NDArray[np.int8]
Int16Array = NDArray[np.int16]
Int32Array = NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class TfliteMultiplier:
    """A real factor as TFLite stores it."""

    multiplier: int
    shift: int


def quantize_multiplier(factor: float) -> TfliteMultiplier:
    """TFLite's QuantizeMultiplier (kernels/internal/quantization_util.cc)."""
    if factor == 0.0:
        return TfliteMultiplier(0, 0)
    mantissa, shift = math.frexp(factor)
    fixed = math.floor(mantissa * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    if shift < -31:
        return TfliteMultiplier(0, 0)
    if shift > 30:
        return TfliteMultiplier((1 << 31) - 1, 30)
    return TfliteMultiplier(fixed, shift)


@dataclasses.dataclass(frozen=True)
class Window:
    """A window that slides over an image; pixels outside the image do not count.

    ``height, width, channels`` of input and output; kernel, stride and dilation in pixels; pad_top
    and pad_left are the pixels before the first row and column.
    """

    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    dilation_y: int
    dilation_x: int
    pad_top: int
    pad_left: int


@dataclasses.dataclass(frozen=True, eq=False)
class Conv2D:
    """CONV_2D, int8 with int32 bias.

    ``weights`` [output_channels, kernel_height, kernel_width, input_channels] less their zero
    points, here int16 -127..127; bias, multiplier and shift int32 [output_channels].
    """

    window: Window
    input_zero_point: int
    output_zero_point: int
    out_min: int
    out_max: int
    weights: Int16Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


@dataclasses.dataclass(frozen=True, eq=False)
class DepthwiseConv2D:
    """DEPTHWISE_CONV_2D; ``weights`` int8 [kernel_height, kernel_width, output_channels]."""

    window: Window
    depth_multiplier: int
    input_zero_point: int
    output_zero_point: int
    out_min: int
    out_max: int
    weights: Int8Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


@dataclasses.dataclass(frozen=True, eq=False)
class FullyConnected:
    """FULLY_CONNECTED; ``weights`` [out_features, in_features] less zero points, -255..255."""

    rows: int
    in_features: int
    out_features: int
    input_zero_point: int
    output_zero_point: int
    out_min: int
    out_max: int
    weights: Int16Array
    bias: Int32Array
    multiplier: Int32Array
    shift: Int32Array


@dataclasses.dataclass(frozen=True)
class Reshape:
    """RESHAPE (and SQUEEZE, EXPAND_DIMS): the same values in another shape."""

    count: int


Shape4 = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Add:
    """ADD (and SUB: ``sign`` -1) with broadcasting.

    Shapes have 4 dimensions; a stride of 0 repeats. y = clamp(z + rescale(a' + sign * b',
    out)), a' = rescale((a - z_a) << 20, a), b' likewise. Strides are in elements.
    """

    shape: Shape4
    a_strides: Shape4
    b_strides: Shape4
    sign: int
    a_zero_point: int
    a_multiplier: int
    a_shift: int
    b_zero_point: int
    b_multiplier: int
    b_shift: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class AddInt16(Add):
    """The same of int16: operands are shifted left by 15, zero points are 0."""


@dataclasses.dataclass(frozen=True)
class Mul:
    """MUL with broadcasting: y = clamp(z + rescale((a - z_a) * (b - z_b), out))."""

    shape: Shape4
    a_strides: Shape4
    b_strides: Shape4
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class MulInt16(Mul):
    """The same of int16; zero points are 0."""


@dataclasses.dataclass(frozen=True)
class Pool2D:
    """MAX_POOL_2D and AVERAGE_POOL_2D (``average`` 1); the window counts pixels inside only."""

    window: Window
    average: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class Mean:
    """MEAN over adjacent dimensions: x is [outer, count, inner], y [outer, inner].

    y = clamp(z_y + rescale(sum(x - z_x), out)), the factor s_x / (s_y * count) as `mean_factor`.
    """

    outer: int
    count: int
    inner: int
    input_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class MeanInt16(Mean):
    """The same of int16; zero points are 0, ``count`` is below 2**16."""


def mean_factor(factor: float, count: int) -> TfliteMultiplier:
    """factor / count as TFLite's reduce.cc divides it: in the multiplier, rounding down.

    The multiplier is first shifted left by as many bits as the count and 64 bits allow.
    """
    base = quantize_multiplier(factor)
    shift = min(count.bit_length() - 1, 32, 31 + base.shift)
    return TfliteMultiplier((base.multiplier << shift) // count, base.shift - shift)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """A pointwise operator (QUANTIZE, RELU, RELU6) as a table: y = lut[x + 128], int8 [256]."""

    lut: Int8Array


# Codes of element types in the C structs (VIT_ELEMENT_...).
ELEMENTS: dict[np.dtype[Any], int] = {
    np.dtype(np.int8): 0,
    np.dtype(np.uint8): 1,
    np.dtype(np.int16): 2,
}


def element_type(code: int) -> np.dtype[Any]:
    """The type with that code."""
    return next(dtype for dtype, value in ELEMENTS.items() if value == code)


@dataclasses.dataclass(frozen=True)
class Quantize:
    """QUANTIZE of float32: y = clamp(round(x / scale) + zero_point), half away from zero.

    ``type`` is the output's code in `ELEMENTS`; |x / scale| beyond 2**20 and NaN saturate.
    """

    count: int
    type: int
    scale: float
    zero_point: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class Requantize:
    """QUANTIZE of integers: y = clamp(rescale(x - z_x) + z_y); types are codes in `ELEMENTS`."""

    count: int
    input_type: int
    output_type: int
    input_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int
    out_min: int
    out_max: int


@dataclasses.dataclass(frozen=True)
class Dequantize:
    """DEQUANTIZE to float32: y = scale * (x - zero_point); ``type`` is the input's code."""

    count: int
    type: int
    scale: float
    zero_point: int
