# SPDX-License-Identifier: Apache-2.0
"""Reads the parameters of builtin operators from a graph, as TFLM's Prepare functions do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Operator, Tensor
from converter.tflite.schema import ACTIVATION_NAMES, schema
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins import reference

Tensors = Sequence[Tensor]


class BuiltinError(ValueError):
    """A builtin operator in a form that is not supported; the message says which and why."""


def _activation_range(function: int, output: Tensor) -> tuple[int, int]:
    """TFLite's CalculateActivationRangeQuantized for int8."""
    scale, zero_point = np.float32(output.scale), output.zero_point

    def quantized(real: float) -> int:
        return zero_point + int(np.trunc(np.float32(real) / scale + np.copysign(0.5, real)))

    name = ACTIVATION_NAMES[function]
    low, high = -128, 127
    if name in ("RELU", "RELU6"):
        low = max(low, zero_point)
    if name == "RELU6":
        high = min(high, quantized(6.0))
    if name == "RELU_N1_TO_1":
        low, high = max(low, quantized(-1.0)), min(high, quantized(1.0))
    elif name not in ("NONE", "RELU", "RELU6"):
        raise BuiltinError(f"fused activation {name} is not supported")
    return low, high


def _int8(tensor: Tensor, what: str) -> Tensor:
    if tensor.dtype != np.int8 or tensor.quantization is None:
        raise BuiltinError(f"{what} {tensor.name}: got {tensor.dtype}, expected quantized int8")
    return tensor


def _ends(tensors: Tensors, op: Operator) -> tuple[Tensor, Tensor]:
    return _int8(tensors[op.inputs[0]], "input"), _int8(tensors[op.outputs[0]], "output")


def _constant(tensors: Tensors, index: int, what: str) -> NDArray[Any]:
    data = tensors[index].data
    if data is None:
        raise BuiltinError(f"{what} {tensors[index].name}: expected a constant")
    return data


def _bias(tensors: Tensors, op: Operator, channels: int) -> NDArray[np.int32]:
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        return np.zeros(channels, np.int32)
    data = _constant(tensors, op.inputs[2], "bias")
    if data.dtype != np.int32 or data.size != channels:
        raise BuiltinError(f"bias: got {data.dtype} [{data.size}], expected int32 [{channels}]")
    return data.reshape(-1)


def _factors(
    x: Tensor, weights: Tensor, y: Tensor, channels: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multiplier and shift of each output channel, from float scales in double precision."""
    quantization = weights.quantization
    if quantization is None or np.any(quantization.zero_point != 0):
        raise BuiltinError(f"weights {weights.name}: expected a zero point of 0")
    scales = np.broadcast_to(quantization.scale, (channels,)).astype(np.float64)
    pairs = [p.quantize_multiplier(x.scale * float(s) / y.scale) for s in scales]
    return (
        np.array([m.multiplier for m in pairs], np.int32),
        np.array([m.shift for m in pairs], np.int32),
    )


def _padding(size: int, kernel: int, stride: int, dilation: int, padding: int) -> tuple[int, int]:
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
    height, top = _padding(x.shape[1], kernel[0], options.strideH, dy, options.padding)
    width, left = _padding(x.shape[2], kernel[1], options.strideW, dx, options.padding)
    if y.shape[1:3] != (height, width):
        raise BuiltinError(f"output: got {y.shape[1:3]}, expected {(height, width)}")
    return p.Window(
        *x.shape[1:], *y.shape[1:], *kernel, options.strideH, options.strideW, dy, dx, top, left
    )


def _conv_2d(tensors: Tensors, op: Operator) -> p.Conv2D:
    x, y = (
        _int8(tensors[op.inputs[0]], "input"),
        _int8(tensors[op.outputs[0]], "output"),
    )
    weights = _constant(tensors, op.inputs[1], "weights")
    channels, height, width, depth = weights.shape
    window = _window(x, y, (height, width), op.options, dilated=True)
    if depth != window.input_channels:
        raise BuiltinError(f"got {depth} weight channels for {window.input_channels}: grouped")
    return p.Conv2D(
        window,
        x.zero_point,
        y.zero_point,
        *_activation_range(op.options.fusedActivationFunction, y),
        weights,
        _bias(tensors, op, channels),
        *_factors(x, tensors[op.inputs[1]], y, channels),
    )


def _depthwise_conv_2d(tensors: Tensors, op: Operator) -> p.DepthwiseConv2D:
    x, y = (
        _int8(tensors[op.inputs[0]], "input"),
        _int8(tensors[op.outputs[0]], "output"),
    )
    weights = _constant(tensors, op.inputs[1], "weights")
    _, height, width, channels = weights.shape
    window = _window(x, y, (height, width), op.options, dilated=True)
    return p.DepthwiseConv2D(
        window,
        channels // window.input_channels,
        x.zero_point,
        y.zero_point,
        *_activation_range(op.options.fusedActivationFunction, y),
        weights[0],
        _bias(tensors, op, channels),
        *_factors(x, tensors[op.inputs[1]], y, channels),
    )


def _fully_connected(tensors: Tensors, op: Operator) -> p.FullyConnected:
    x, y = (
        _int8(tensors[op.inputs[0]], "input"),
        _int8(tensors[op.outputs[0]], "output"),
    )
    weights = _constant(tensors, op.inputs[1], "weights")
    if weights.dtype != np.int8:
        raise BuiltinError(f"weights: got {weights.dtype}, expected int8")
    out_features, in_features = weights.shape
    return p.FullyConnected(
        x.size // in_features,
        in_features,
        out_features,
        x.zero_point,
        y.zero_point,
        *_activation_range(op.options.fusedActivationFunction, y),
        weights,
        _bias(tensors, op, out_features),
        *_factors(x, tensors[op.inputs[1]], y, out_features),
    )


def _reshape(tensors: Tensors, op: Operator) -> p.Reshape:
    return p.Reshape(tensors[op.outputs[0]].size)


_READERS: dict[str, Callable[[Tensors, Operator], Any]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
}
SUPPORTED = tuple(_READERS)


def params_of(tensors: Tensors, op: Operator) -> Any:
    """Parameters of a builtin operator (a dataclass of `tflm_custom_ops.builtins.params`).

    Args:
      tensors: of the operator's graph.

    Raises:
      BuiltinError: not supported, or not in this form.
    """
    if op.name not in _READERS:
        raise BuiltinError(f"{op.name} is not supported; expected {', '.join(SUPPORTED)}")
    try:
        return _READERS[op.name](tensors, op)
    except BuiltinError as error:
        raise BuiltinError(f"{op.name}: {error}") from error


def run_builtin(tensors: Tensors, op: Operator, *inputs: NDArray[Any]) -> NDArray[Any]:
    """The operator's output on its non-constant ``inputs``, in the output tensor's shape."""
    output = tensors[op.outputs[0]]
    return reference.run(params_of(tensors, op), *inputs).reshape(output.shape)
