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


def _shape_4(shape: tuple[int, ...]) -> p.Shape4:
    if len(shape) > 4:
        raise BuiltinError(f"got shape {list(shape)}, expected at most 4 dimensions")
    a, b, c, d = (1,) * (4 - len(shape)) + shape
    return a, b, c, d


def _strides(shape: tuple[int, ...], output: p.Shape4) -> p.Shape4:
    """Element strides of an operand that is broadcast to ``output``."""
    extended, stride, strides = _shape_4(shape), 1, [0, 0, 0, 0]
    for axis in (3, 2, 1, 0):
        if extended[axis] not in (1, output[axis]):
            raise BuiltinError(f"got shape {list(shape)}, which does not broadcast to {output}")
        strides[axis] = 0 if extended[axis] == 1 else stride
        stride *= extended[axis]
    return strides[0], strides[1], strides[2], strides[3]


def _operands(tensors: Tensors, op: Operator) -> tuple[Tensor, Tensor, Tensor]:
    a, b = (_int8(tensors[i], "operand") for i in op.inputs)
    return a, b, _int8(tensors[op.outputs[0]], "output")


def _add(tensors: Tensors, op: Operator) -> p.Add:
    """As TFLM's CalculateOpDataAdd; SUB differs in the sign only."""
    a, b, y = _operands(tensors, op)
    shape = _shape_4(y.shape)
    twice_max = 2 * max(a.scale, b.scale)
    factors = [p.quantize_multiplier(t.scale / twice_max) for t in (a, b)]
    out = p.quantize_multiplier(twice_max / ((1 << 20) * y.scale))
    return p.Add(
        *(shape, _strides(a.shape, shape), _strides(b.shape, shape)),
        -1 if op.name == "SUB" else 1,
        *(a.zero_point, factors[0].multiplier, factors[0].shift),
        *(b.zero_point, factors[1].multiplier, factors[1].shift),
        *(y.zero_point, out.multiplier, out.shift),
        *_activation_range(op.options.fusedActivationFunction, y),
    )


def _mul(tensors: Tensors, op: Operator) -> p.Mul:
    a, b, y = _operands(tensors, op)
    shape = _shape_4(y.shape)
    out = p.quantize_multiplier(a.scale * b.scale / y.scale)
    return p.Mul(
        *(shape, _strides(a.shape, shape), _strides(b.shape, shape)),
        *(a.zero_point, b.zero_point, y.zero_point, out.multiplier, out.shift),
        *_activation_range(op.options.fusedActivationFunction, y),
    )


def _same_quantization(x: Tensor, y: Tensor) -> None:
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise BuiltinError(f"input and output {y.name} have different scales")


def _pool_2d(tensors: Tensors, op: Operator) -> p.Pool2D:
    x, y = _ends(tensors, op)
    _same_quantization(x, y)
    kernel = (op.options.filterHeight, op.options.filterWidth)
    window = _window(x, y, kernel, op.options, dilated=False)
    average = int(op.name == "AVERAGE_POOL_2D")
    return p.Pool2D(window, average, *_activation_range(op.options.fusedActivationFunction, y))


def _pad(tensors: Tensors, op: Operator) -> p.Pad:
    x, y = _ends(tensors, op)
    _same_quantization(x, y)
    value = y.zero_point
    if len(op.inputs) == 3 and op.inputs[2] >= 0:
        value = int(_constant(tensors, op.inputs[2], "padding value").reshape(-1)[0])
    paddings = _constant(tensors, op.inputs[1], "paddings")
    before = tuple(0 for _ in range(4 - len(x.shape))) + tuple(int(b) for b, _ in paddings)
    return p.Pad(_shape_4(x.shape), _shape_4(y.shape), _shape_4(before), value)


def _strided_slice(tensors: Tensors, op: Operator) -> p.StridedSlice:
    x, y = _ends(tensors, op)
    begin, _, steps = (_constant(tensors, i, "bounds").reshape(-1) for i in op.inputs[1:4])
    masks = op.options
    if masks.ellipsisMask or masks.newAxisMask:
        raise BuiltinError("ellipsis and new axis masks are not supported")
    if np.any(steps <= 0):
        raise BuiltinError(f"got steps {steps.tolist()}, expected positive ones")
    starts = []
    for axis, (start, size) in enumerate(zip(begin, x.shape, strict=True)):
        first = int(start) + (size if start < 0 else 0)
        starts.append(0 if masks.beginMask >> axis & 1 else min(max(first, 0), size))
    kept = [axis for axis in range(len(x.shape)) if not masks.shrinkAxisMask >> axis & 1]
    sizes = [1] * len(x.shape)
    for axis, size in zip(kept, y.shape, strict=True):
        sizes[axis] = size
    lead = (1,) * (4 - len(x.shape))
    return p.StridedSlice(
        _shape_4(x.shape),
        _shape_4(tuple(sizes)),
        _shape_4((0,) * len(lead) + tuple(starts)),
        _shape_4(lead + tuple(int(s) for s in steps)),
    )


def _concatenation(tensors: Tensors, op: Operator) -> p.Concatenation:
    y = _int8(tensors[op.outputs[0]], "output")
    inputs = [_int8(tensors[i], "input") for i in op.inputs]
    for x in inputs:
        _same_quantization(x, y)
    if op.options.fusedActivationFunction:
        raise BuiltinError("a fused activation is not supported")
    axis = op.options.axis % len(y.shape)
    inner = tuple(int(np.prod(x.shape[axis:], dtype=np.int64)) for x in inputs)
    return p.Concatenation(int(np.prod(y.shape[:axis], dtype=np.int64)), inner)


def _mean(tensors: Tensors, op: Operator) -> p.Mean:
    x, y = _ends(tensors, op)
    rank = len(x.shape)
    named = _constant(tensors, op.inputs[1], "axes").reshape(-1)
    axes = sorted({int(a) % rank for a in named})
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        raise BuiltinError(f"got axes {axes}, expected adjacent ones")
    outer, count, inner = (
        int(np.prod(part, dtype=np.int64))
        for part in (x.shape[: axes[0]], x.shape[axes[0] : axes[-1] + 1], x.shape[axes[-1] + 1 :])
    )
    out = p.mean_factor(x.scale / y.scale, count)
    return p.Mean(
        *(outer, count, inner, x.zero_point, y.zero_point, out.multiplier, out.shift, -128, 127)
    )


_READERS: dict[str, Callable[[Tensors, Operator], Any]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "SUB": _add,
    "MUL": _mul,
    "MAX_POOL_2D": _pool_2d,
    "AVERAGE_POOL_2D": _pool_2d,
    "PAD": _pad,
    "PADV2": _pad,
    "STRIDED_SLICE": _strided_slice,
    "CONCATENATION": _concatenation,
    "MEAN": _mean,
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
    if op.options is None and _READERS[op.name] is not _reshape:
        raise BuiltinError(f"{op.name}: has no options")
    try:
        return _READERS[op.name](tensors, op)
    except BuiltinError as error:
        raise BuiltinError(f"{op.name}: {error}") from error


def run_builtin(tensors: Tensors, op: Operator, *inputs: NDArray[Any]) -> NDArray[Any]:
    """The operator's output on its non-constant ``inputs``, in the output tensor's shape."""
    output = tensors[op.outputs[0]]
    return reference.run(params_of(tensors, op), *inputs).reshape(output.shape)
