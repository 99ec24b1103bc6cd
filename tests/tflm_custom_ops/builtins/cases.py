# SPDX-License-Identifier: Apache-2.0
"""Random one-op models of every supported builtin operator, with inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from converter import tflite
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import one_op

Rng = np.random.Generator
FOUR_BITS = 0.3  # of the layers
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A model of one operator and the values of its activations.

    ``wheel``, ``litert``: whether the TFLM wheel, LiteRT's reference kernels run it.
    """

    model: tflite.Model
    inputs: tuple[np.ndarray, ...]
    wheel: bool = True
    litert: bool = True

    @property
    def operator(self) -> tflite.Operator:
        return self.model.graph.operators[0]

    @property
    def tensors(self) -> tuple[tflite.Tensor, ...]:
        return self.model.graph.tensors


def any_scale(rng: Rng) -> tuple[float, int]:
    """A scale, and a zero point that is often at an end."""
    zero_point = int(rng.choice([-128, 127, 0, rng.integers(-128, 128), rng.integers(-128, 128)]))
    return float(np.float32(rng.uniform(0.005, 0.1))), zero_point


def int8_values(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    if rng.random() < 0.2:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def _activation(rng: Rng) -> int:
    return int(rng.choice([NONE, NONE, RELU, RELU_N1_TO_1, RELU6]))


@dataclasses.dataclass(frozen=True)
class _Layer:
    """Scales, weights and bias of a layer with ``fan_in`` products per output."""

    x: tuple[float, int]
    y: tuple[float, int]
    weight_scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray


def _layer(rng: Rng, shape: tuple[int, ...], channels: int, fan_in: int) -> _Layer:
    per_channel = rng.random() < 0.7
    weight_scale = rng.uniform(0.001, 0.01, channels if per_channel else 1).astype(np.float32)
    x = any_scale(rng)
    # Outputs fill about the int8 range; sometimes the factor is above one.
    spread = 0.02 if rng.random() < 0.1 else rng.uniform(0.3, 2)
    y_scale = x[0] * float(weight_scale.mean()) * 80 * 73 * np.sqrt(fan_in) / 100 * spread
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    if rng.spawn(1)[0].random() < FOUR_BITS:
        weights = np.sign(weights) * (np.abs(weights) >> 4)
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    return _Layer(x, (float(np.float32(y_scale)), any_scale(rng)[1]), weight_scale, weights, bias)


def _layer_inputs(
    rng: Rng, layer: _Layer, shape: tuple[int, ...], axis: int, biased: bool = False
) -> list[tflite.Tensor]:
    inputs = [
        one_op.activation("x", shape, *layer.x),
        one_op.constant("weights", layer.weights, layer.weight_scale, axis),
    ]
    if rng.random() < 0.8 or biased:
        inputs.append(one_op.constant("bias", layer.bias, layer.x[0] * layer.weight_scale))
    return inputs


def _spatial(
    rng: Rng, options: Any, kernel: tuple[int, int], dilated: bool
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes of a random image and of the output; sets stride, padding and dilation."""
    options.strideH, options.strideW = (int(v) for v in rng.integers(1, 4, 2))
    options.padding = int(rng.integers(0, 2))
    dilation = [1, 1]
    if dilated:
        if rng.random() < 0.3:
            dilation = [int(v) for v in rng.integers(1, 3, 2)]
        options.dilationHFactor, options.dilationWFactor = dilation
    size, out = [], []
    for k, s, d in zip(kernel, (options.strideH, options.strideW), dilation, strict=True):
        reach = (k - 1) * d + 1
        n = int(rng.integers(reach, reach + 8))
        size.append(n)
        out.append(-(-n // s) if options.padding == schema.Padding.SAME else (n - reach) // s + 1)
    return (size[0], size[1]), (out[0], out[1])


def conv_2d(rng: Rng, channels: int | None = None, outputs: int | None = None) -> Case:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    c = channels or int(rng.integers(1, 8))
    o = outputs or int(rng.integers(1, 12))
    options = schema.Conv2DOptionsT()
    options.fusedActivationFunction = _activation(rng)
    size, out = _spatial(rng, options, kernel, dilated=True)
    layer = _layer(rng, (o, *kernel, c), o, kernel[0] * kernel[1] * c)
    # LiteRT crashes on one without a bias, and the reader refuses it.
    inputs = _layer_inputs(rng, layer, (1, *size, c), 0, biased=True)
    y = one_op.activation("y", (1, *out, o), *layer.y)
    model = one_op.model("CONV_2D", options, inputs, y)
    return Case(model, (int8_values(rng, (1, *size, c)),))


def depthwise_conv_2d(rng: Rng) -> Case:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    c, multiplier = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    options = schema.DepthwiseConv2DOptionsT()
    options.fusedActivationFunction = _activation(rng)
    options.depthMultiplier = multiplier
    size, out = _spatial(rng, options, kernel, dilated=True)
    layer = _layer(rng, (1, *kernel, c * multiplier), c * multiplier, kernel[0] * kernel[1])
    inputs = _layer_inputs(rng, layer, (1, *size, c), 3, biased=True)
    y = one_op.activation("y", (1, *out, c * multiplier), *layer.y)
    model = one_op.model("DEPTHWISE_CONV_2D", options, inputs, y)
    return Case(model, (int8_values(rng, (1, *size, c)),))


def fully_connected(rng: Rng) -> Case:
    rows, k, n = (int(rng.integers(1, m)) for m in (9, 600, 50))
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = _activation(rng)
    options.keepNumDims, options.weightsFormat = False, 0
    layer = _layer(rng, (n, k), n, k)
    inputs = _layer_inputs(rng, layer, (rows, k), 0)
    y = one_op.activation("y", (rows, n), *layer.y)
    model = one_op.model("FULLY_CONNECTED", options, inputs, y, version=4)
    # LiteRT's kernel rounds once, TFLM's twice.
    return Case(model, (int8_values(rng, (rows, k)),), litert=False)


def _shape(rng: Rng, low: int = 1) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, 6, int(rng.integers(1, 5))))


def _elementwise(rng: Rng, opcode: str, options: Any) -> Case:
    shape = _shape(rng)
    other = tuple(1 if rng.random() < 0.3 else n for n in shape)
    if rng.random() < 0.3:
        other = other[len(other) // 2 :]
    shapes = [shape, other] if rng.random() < 0.5 else [other, shape]
    names = ("a", "b")
    inputs = [one_op.activation(n, s, *any_scale(rng)) for n, s in zip(names, shapes, strict=True)]
    options.fusedActivationFunction = _activation(rng)
    y = one_op.activation("y", shape, *any_scale(rng))
    model = one_op.model(opcode, options, inputs, y, version=2)
    values = tuple(int8_values(rng, s) for s in shapes)
    return Case(model, values, litert=opcode != "SUB")  # LiteRT has its factors in float64


def add(rng: Rng) -> Case:
    return _elementwise(rng, "ADD", schema.AddOptionsT())


def sub(rng: Rng) -> Case:
    return _elementwise(rng, "SUB", schema.SubOptionsT())


def mul(rng: Rng) -> Case:
    return _elementwise(rng, "MUL", schema.MulOptionsT())


def _pool(rng: Rng, opcode: str) -> Case:
    kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    c = int(rng.integers(1, 6))
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = kernel
    options.fusedActivationFunction = _activation(rng)
    size, out = _spatial(rng, options, kernel, dilated=False)
    scale = any_scale(rng)
    x = one_op.activation("x", (1, *size, c), *scale)
    y = one_op.activation("y", (1, *out, c), *scale)
    return Case(one_op.model(opcode, options, [x], y, version=2), (int8_values(rng, x.shape),))


def max_pool(rng: Rng) -> Case:
    return _pool(rng, "MAX_POOL_2D")


def average_pool(rng: Rng) -> Case:
    return _pool(rng, "AVERAGE_POOL_2D")


def pad(rng: Rng) -> Case:
    shape, scale = _shape(rng), any_scale(rng)
    paddings = rng.integers(0, 3, (len(shape), 2)).astype(np.int32)
    out = tuple(int(n + p.sum()) for n, p in zip(shape, paddings, strict=True))
    inputs = [one_op.activation("x", shape, *scale), one_op.constant("paddings", paddings)]
    y = one_op.activation("y", out, *scale)
    model = one_op.model("PAD", schema.PadOptionsT(), inputs, y, version=2)
    return Case(model, (int8_values(rng, shape),))


def strided_slice(rng: Rng) -> Case:
    shape, scale = _shape(rng, low=2), any_scale(rng)
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = options.shrinkAxisMask = 0
    options.ellipsisMask = options.newAxisMask = 0
    begin, end, step, out = [], [], [], []
    for axis, n in enumerate(shape):
        first = int(rng.integers(0, n))
        last, by = int(rng.integers(first + 1, n + 1)), int(rng.integers(1, 3))
        if axis and rng.random() < 0.2:
            options.shrinkAxisMask |= 1 << axis
            last, by = first + 1, 1
        elif rng.random() < 0.3:
            options.beginMask |= 1 << axis
            out.append(-(-last // by))
        elif rng.random() < 0.3:
            options.endMask |= 1 << axis
            out.append(-(-(n - first) // by))
        else:
            out.append(-(-(last - first) // by))
            first -= n if rng.random() < 0.3 else 0
        begin.append(first)
        end.append(last)
        step.append(by)
    bounds = [
        one_op.constant(name, np.array(values, np.int32))
        for name, values in (("begin", begin), ("end", end), ("step", step))
    ]
    inputs = [one_op.activation("x", shape, *scale), *bounds]
    y = one_op.activation("y", tuple(out), *scale)
    return Case(
        one_op.model("STRIDED_SLICE", options, inputs, y, version=2), (int8_values(rng, shape),)
    )


def concatenation(rng: Rng) -> Case:
    shape, scale = _shape(rng), any_scale(rng)
    axis = int(rng.integers(0, len(shape)))
    shapes = []
    for _ in range(int(rng.integers(2, 5))):
        shapes.append((*shape[:axis], int(rng.integers(1, 5)), *shape[axis + 1 :]))
    out = (*shape[:axis], sum(s[axis] for s in shapes), *shape[axis + 1 :])
    options = schema.ConcatenationOptionsT()
    options.axis = axis - (len(shape) if rng.random() < 0.5 else 0)
    options.fusedActivationFunction = NONE
    inputs = [one_op.activation(f"x{i}", s, *scale) for i, s in enumerate(shapes)]
    y = one_op.activation("y", out, *scale)
    model = one_op.model("CONCATENATION", options, inputs, y, version=2)
    return Case(model, tuple(int8_values(rng, s) for s in shapes))


def mean(rng: Rng) -> Case:
    shape, x = _shape(rng), any_scale(rng)
    first = int(rng.integers(0, len(shape)))
    axes = list(range(first, int(rng.integers(first, len(shape))) + 1))
    options = schema.ReducerOptionsT()
    options.keepDims = bool(rng.random() < 0.5 or len(axes) == len(shape))
    out = tuple(
        1 if i in axes else n for i, n in enumerate(shape) if options.keepDims or i not in axes
    )
    y = x if rng.random() < 0.3 else (x[0] * float(rng.uniform(0.2, 1.5)), any_scale(rng)[1])
    inputs = [one_op.activation("x", shape, *x), one_op.constant("axes", np.array(axes, np.int32))]
    model = one_op.model("MEAN", options, inputs, one_op.activation("y", out, *y), version=2)
    return Case(model, (int8_values(rng, shape),))


def reshape(rng: Rng) -> Case:
    shape, scale = _shape(rng), any_scale(rng)
    out = (int(np.prod(shape)),)
    target = one_op.constant("shape", np.array(out, np.int32))
    inputs = [one_op.activation("x", shape, *scale), target]
    y = one_op.activation("y", out, *scale)
    model = one_op.model("RESHAPE", schema.ReshapeOptionsT(), inputs, y, version=1)
    return Case(model, (int8_values(rng, shape),))


def _pointwise(rng: Rng, opcode: str, options: Any, same_scale: bool) -> Case:
    shape, x = _shape(rng), any_scale(rng)
    y = x if same_scale else (float(np.float32(x[0] * rng.uniform(0.3, 3))), any_scale(rng)[1])
    inputs = [one_op.activation("x", shape, *x)]
    model = one_op.model(opcode, options, inputs, one_op.activation("y", shape, *y), version=2)
    return Case(model, (int8_values(rng, shape),))


def quantize(rng: Rng) -> Case:
    return _pointwise(rng, "QUANTIZE", schema.QuantizeOptionsT(), same_scale=False)


def _typed(rng: Rng, dtype: Any) -> tuple[Any, tuple[float, int]]:
    """A type, and a scale and zero point that it may have."""
    kind = np.dtype(dtype)
    info = np.iinfo(kind)
    zero_point = 0 if kind == np.int16 else int(rng.integers(info.min, info.max + 1))
    scale = rng.uniform(0.005, 0.1) / (256 if kind == np.int16 else 1)
    return kind, (float(np.float32(scale)), zero_point)


def _of_type(name: str, shape: tuple[int, ...], typed: Any) -> tflite.Tensor:
    kind, scale = typed
    quantization = None if kind == np.float32 else tflite.Quantization.per_tensor(*scale)
    return tflite.Tensor(name, shape, np.dtype(kind), quantization)


def any_values(rng: Rng, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, kind, endpoint=True)


def quantize_float(rng: Rng) -> Case:
    shape, y = _shape(rng), _typed(rng, rng.choice([np.int8, np.int16]))  # TFLM has no uint8
    scale = np.float32(y[1][0])
    # Exact halves of steps, values beyond the range, and anything between.
    steps = rng.integers(-300, 300, shape) / rng.choice([1, 2, 3], shape)
    values = (steps * scale * rng.choice([1, 1, 1, 500], shape)).astype(np.float32)
    inputs = [_of_type("x", shape, (np.float32, None))]
    output = _of_type("y", shape, y)
    return Case(
        one_op.model("QUANTIZE", schema.QuantizeOptionsT(), inputs, output, version=1), (values,)
    )


def requantize(rng: Rng) -> Case:
    pairs = [(np.int8, np.uint8), (np.uint8, np.int8), (np.int8, np.int16), (np.int16, np.int8)]
    pairs += [(np.int16, np.int16)]
    before, after = pairs[int(rng.integers(len(pairs)))]
    shape, x, y = _shape(rng), _typed(rng, before), _typed(rng, after)
    if rng.random() < 0.3 and {before, after} == {np.int8, np.uint8}:
        shift = 128 if before == np.int8 else -128  # TFLite flips a bit
        y = (y[0], (x[1][0], x[1][1] + shift))
    inputs = [_of_type("x", shape, x)]
    model = one_op.model(
        "QUANTIZE", schema.QuantizeOptionsT(), inputs, _of_type("y", shape, y), version=2
    )
    return Case(model, (any_values(rng, shape, x[0]),))


def dequantize(rng: Rng) -> Case:
    shape, x = _shape(rng), _typed(rng, rng.choice([np.int8, np.uint8, np.int16]))
    inputs, y = [_of_type("x", shape, x)], _of_type("y", shape, (np.float32, None))
    model = one_op.model("DEQUANTIZE", schema.DequantizeOptionsT(), inputs, y, version=2)
    return Case(model, (any_values(rng, shape, x[0]),))


def relu(rng: Rng) -> Case:
    return _pointwise(rng, "RELU", None, same_scale=False)


def relu_6(rng: Rng) -> Case:
    return _pointwise(rng, "RELU6", None, same_scale=True)


GENERATORS: tuple[Callable[[Rng], Case], ...] = (
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    add,
    sub,
    mul,
    max_pool,
    average_pool,
    pad,
    strided_slice,
    concatenation,
    mean,
    quantize,
    quantize_float,
    requantize,
    dequantize,
    relu,
    relu_6,
    reshape,
)
