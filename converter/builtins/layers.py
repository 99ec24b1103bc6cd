# SPDX-License-Identifier: Apache-2.0
"""Convolutions, fully connected layers and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.builtins.common import (
    BuiltinError,
    Tensors,
    activation_range,
    constant,
    ends,
    int8_tensor,
    product_factor,
    same_quantization,
)
from converter.tflite import Operator, Tensor
from converter.tflite.schema import schema
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.products import LARGEST_DEPTH, BatchMatMul

_WEIGHTS = (-127, 127)  # what the kernels' packing of a convolution's weights holds


def bias_of(tensors: Tensors, op: Operator, channels: int, at: int = 2) -> NDArray[np.int32]:
    """int32 [channels], the constant input number ``at``; zeros where there is none."""
    if len(op.inputs) <= at or op.inputs[at] < 0:
        return np.zeros(channels, np.int32)
    data = constant(tensors, op.inputs[at], "bias")
    if data.dtype != np.int32 or data.size != channels:
        raise BuiltinError(f"bias: got {data.dtype} [{data.size}], expected int32 [{channels}]")
    return data.reshape(-1)


def factors_of(
    x: Tensor, weights: Tensor, y: Tensor, channels: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multiplier and shift of each output channel, from float scales in double precision."""
    quantization = weights.quantization
    if quantization is None or len(quantization.scale) not in (1, channels):
        raise BuiltinError(f"weights {weights.name}: expected 1 or {channels} scales")
    scales = np.broadcast_to(quantization.scale, (channels,)).astype(np.float64)
    pairs = [p.quantize_multiplier(x.scale * float(s) / y.scale) for s in scales]
    return (
        np.array([m.multiplier for m in pairs], np.int32),
        np.array([m.shift for m in pairs], np.int32),
    )


def _layer_factors(
    x: Tensor, weights: Tensor, y: Tensor, channels: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`factors_of`, but a FULLY_CONNECTED of one scale is a product in TFLite."""
    factors = factors_of(x, weights, y, channels)
    if weights.quantization is None or len(weights.quantization.scale) != 1:
        return factors
    m = p.quantize_multiplier(product_factor(x, weights, y))
    return np.full(channels, m.multiplier, np.int32), np.full(channels, m.shift, np.int32)


def centered_weights(
    tensors: Tensors, op: Operator, low: int = -128, high: int = 127
) -> NDArray[np.int16]:
    """int16, the constant weights less their zero points.

    Raises:
      BuiltinError: no int8 constant, or one of them is not in [low, high].
    """
    data = constant(tensors, op.inputs[1], "weights")
    quantization = tensors[op.inputs[1]].quantization
    if data.dtype != np.int8 or quantization is None:
        raise BuiltinError(f"weights: got {data.dtype}, expected quantized int8")
    centered = (data - quantization.along(data.ndim)[1]).astype(np.int16)
    if centered.min(initial=0) < low or centered.max(initial=0) > high:
        raise BuiltinError(
            f"weights: got {centered.min()}..{centered.max()} about the zero point, expected "
            f"{low}..{high}; quantize the weights again, symmetric"
        )
    return centered


def padding_of(size: int, kernel: int, stride: int, dilation: int, padding: int) -> tuple[int, int]:
    """(output size, pixels before the first) of TFLite's ComputePaddingHeightWidth."""
    reach = (kernel - 1) * dilation + 1
    if padding == schema.Padding.VALID:
        return (size - reach + stride) // stride, 0
    out = (size + stride - 1) // stride
    return out, max(0, (out - 1) * stride + reach - size) // 2


def _window(x: Tensor, y: Tensor, kernel: tuple[int, int], options: Any, dilated: bool) -> p.Window:
    if len(x.shape) != 4 or len(y.shape) != 4 or x.shape[0] != 1:
        raise BuiltinError(f"got input {x.shape} and output {y.shape}, expected [1, h, w, c]")
    dy = options.dilationHFactor if dilated else 1
    dx = options.dilationWFactor if dilated else 1
    height, top = padding_of(x.shape[1], kernel[0], options.strideH, dy, options.padding)
    width, left = padding_of(x.shape[2], kernel[1], options.strideW, dx, options.padding)
    if y.shape[1:3] != (height, width):
        raise BuiltinError(f"output: got {y.shape[1:3]}, expected {(height, width)}")
    return p.Window(
        *x.shape[1:], *y.shape[1:], *kernel, options.strideH, options.strideW, dy, dx, top, left
    )


def conv_2d(tensors: Tensors, op: Operator) -> p.Conv2D:
    """As TFLM's conv_common.cc."""
    x, y = ends(tensors, op)
    channels, height, width, depth = constant(tensors, op.inputs[1], "weights").shape
    window = _window(x, y, (height, width), op.options, dilated=True)
    if depth != window.input_channels:
        raise BuiltinError(
            f"got {depth} weight channels for {window.input_channels}: a grouped convolution; "
            "tflm_vit.fuse writes it group by group"
        )
    weights = centered_weights(tensors, op, *_WEIGHTS)
    return p.Conv2D(
        window,
        x.zero_point,
        y.zero_point,
        *activation_range(op.options.fusedActivationFunction, y),
        weights,
        bias_of(tensors, op, channels),
        *factors_of(x, tensors[op.inputs[1]], y, channels),
    )


def depthwise_conv_2d(tensors: Tensors, op: Operator) -> p.DepthwiseConv2D:
    """As TFLM's depthwise_conv_common.cc."""
    x, y = ends(tensors, op)
    weights = centered_weights(tensors, op).astype(np.int8)
    _, height, width, channels = weights.shape
    window = _window(x, y, (height, width), op.options, dilated=True)
    return p.DepthwiseConv2D(
        window,
        channels // window.input_channels,
        x.zero_point,
        y.zero_point,
        *activation_range(op.options.fusedActivationFunction, y),
        weights[0],
        bias_of(tensors, op, channels),
        *factors_of(x, tensors[op.inputs[1]], y, channels),
    )


def _product(tensors: Tensors, op: Operator, x: Tensor, y: Tensor) -> BatchMatMul:
    """A layer whose weights are computed, as the product that it is."""
    weights = int8_tensor(tensors[op.inputs[1]], "weights")
    columns, depth = weights.shape
    bias = bias_of(tensors, op, columns)
    if depth > LARGEST_DEPTH or int(np.abs(bias.astype(np.int64)).max(initial=0)) >= 1 << 30:
        raise BuiltinError(f"got sums of {depth} products, expected 32 bits to hold them")
    factor = p.quantize_multiplier(product_factor(x, weights, y))
    return BatchMatMul(
        *((1, 1, 1), (0, 0, 0), (0, 0, 0)),
        *(x.size // depth, columns, depth, depth, 1, depth, 1),
        *(x.zero_point, weights.zero_point, y.zero_point, factor.multiplier, factor.shift),
        *activation_range(op.options.fusedActivationFunction, y),
        bias if np.any(bias) else None,
    )


def fully_connected(tensors: Tensors, op: Operator) -> p.FullyConnected | BatchMatMul:
    """As TFLM's fully_connected_common.cc."""
    x, y = ends(tensors, op)
    if tensors[op.inputs[1]].data is None:
        return _product(tensors, op, x, y)
    weights = centered_weights(tensors, op, -255, 255)
    out_features, in_features = weights.shape
    return p.FullyConnected(
        x.size // in_features,
        in_features,
        out_features,
        x.zero_point,
        y.zero_point,
        *activation_range(op.options.fusedActivationFunction, y),
        weights,
        bias_of(tensors, op, out_features),
        *_layer_factors(x, tensors[op.inputs[1]], y, out_features),
    )


def pool_2d(tensors: Tensors, op: Operator) -> p.Pool2D:
    """MAX_POOL_2D and AVERAGE_POOL_2D, as TFLM's pooling_common.cc."""
    x, y = ends(tensors, op)
    same_quantization(x, y)
    kernel = (op.options.filterHeight, op.options.filterWidth)
    window = _window(x, y, kernel, op.options, dilated=False)
    average = int(op.name == "AVERAGE_POOL_2D")
    return p.Pool2D(window, average, *activation_range(op.options.fusedActivationFunction, y))
