# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on values, with broadcasting, and over dimensions."""

from __future__ import annotations

import numpy as np

from converter.builtins import broadcast, reductions
from converter.builtins.common import (
    BuiltinError,
    Tensors,
    activation_range,
    ends,
    int8_tensor,
    int16_tensor,
    same_quantization,
)
from converter.tflite import Operator, Tensor
from converter.tflite.schema import schema
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.broadcast import ArithmeticInt32, Divide
from tflm_custom_ops.builtins.reductions import Reduce
from tflm_custom_ops.builtins.rescale import rescale

_DIV_SHIFT = 22  # an int8 numerator has as many free bits, by which the result is shifted back


def _is_int16(tensors: Tensors, op: Operator) -> bool:
    """Whether the result is int16, and so all that is computed with."""
    return tensors[op.outputs[0]].dtype == np.int16


def _operands(tensors: Tensors, op: Operator) -> tuple[Tensor, Tensor, Tensor]:
    """Two operands and the result, int8 or int16."""
    check = int16_tensor if _is_int16(tensors, op) else int8_tensor
    a, b = (check(tensors[i], "operand") for i in op.inputs)
    return a, b, check(tensors[op.outputs[0]], "output")


def add(tensors: Tensors, op: Operator) -> p.Add | ArithmeticInt32:
    """As TFLM's add_common.cc and sub_common.cc: the factors of SUB are computed in float32."""
    if broadcast.is_int32(tensors, op):
        return broadcast.arithmetic_int32(tensors, op)
    a, b, y = _operands(tensors, op)
    spread = broadcast.over(a, b, y)
    real = np.float32 if op.name == "SUB" else np.float64
    scales = [real(t.scale) for t in (a, b, y)]
    twice_max = 2 * max(scales[:2])
    factors = [p.quantize_multiplier(float(scale / twice_max)) for scale in scales[:2]]
    kind, headroom = (p.AddInt16, 15) if _is_int16(tensors, op) else (p.Add, 20)
    out = p.quantize_multiplier(float(twice_max / (real(1 << headroom) * scales[2])))
    return kind(
        *(spread.shape, spread.a_strides, spread.b_strides),
        -1 if op.name == "SUB" else 1,
        *(a.zero_point, factors[0].multiplier, factors[0].shift),
        *(b.zero_point, factors[1].multiplier, factors[1].shift),
        *(y.zero_point, out.multiplier, out.shift),
        *activation_range(op.options.fusedActivationFunction, y),
    )


def mul(tensors: Tensors, op: Operator) -> p.Mul | ArithmeticInt32:
    """As TFLM's mul_common.cc."""
    if broadcast.is_int32(tensors, op):
        return broadcast.arithmetic_int32(tensors, op)
    a, b, y = _operands(tensors, op)
    spread = broadcast.over(a, b, y)
    out = p.quantize_multiplier(a.scale * b.scale / y.scale)
    kind = p.MulInt16 if _is_int16(tensors, op) else p.Mul
    return kind(
        *(spread.shape, spread.a_strides, spread.b_strides),
        *(a.zero_point, b.zero_point, y.zero_point, out.multiplier, out.shift),
        *activation_range(op.options.fusedActivationFunction, y),
    )


def div(tensors: Tensors, op: Operator) -> Divide:
    """As TFLM's div.cc, which computes the factor in float32."""
    a, b, y = _operands(tensors, op)
    scales = (np.float32(t.scale) for t in (a, b, y))
    numerator, denominator, result = scales
    out = p.quantize_multiplier(float(numerator / (denominator * result)))
    if out.shift > _DIV_SHIFT:
        raise BuiltinError(f"the scale of {y.name} is too small for a quotient of its operands")
    return Divide(
        *(broadcast.over(a, b, y), a.zero_point, b.zero_point, y.zero_point),
        *(out.multiplier, out.shift),
        *activation_range(op.options.fusedActivationFunction, y),
    )


def mean(tensors: Tensors, op: Operator) -> p.Mean | Reduce:
    """As TFLM's reduce_common.cc; adjacent axes have a kernel of their own."""
    axes = reductions.axes_of(tensors, op)
    if not axes:
        raise BuiltinError("got no axes, expected at least one")
    if axes != list(range(axes[0], axes[-1] + 1)):
        return reductions.mean(tensors, op)
    kind, check = (p.MeanInt16, int16_tensor) if _is_int16(tensors, op) else (p.Mean, int8_tensor)
    x, y = check(tensors[op.inputs[0]], "input"), check(tensors[op.outputs[0]], "output")
    outer, count, inner = (
        int(np.prod(part, dtype=np.int64))
        for part in (x.shape[: axes[0]], x.shape[axes[0] : axes[-1] + 1], x.shape[axes[-1] + 1 :])
    )
    out, limits = p.mean_factor(x.scale / y.scale, count), np.iinfo(y.dtype)
    if (int(limits.max) + 1) * count << max(out.shift, 0) >= 1 << 31:
        raise BuiltinError(f"sums of {count} values of {x.name} leave 32 bits")
    return kind(
        *(outer, count, inner, x.zero_point, y.zero_point, out.multiplier, out.shift),
        *(int(limits.min), int(limits.max)),
    )


_INT8 = np.arange(-128, 128, dtype=np.int64)


def _rescaled(x: Tensor, y: Tensor, low: int) -> p.Table:
    """All int8 inputs in the output's scale, clamped from below."""
    factor = p.quantize_multiplier(x.scale / y.scale)
    values = rescale(_INT8 - x.zero_point, factor.multiplier, factor.shift)
    return p.Table(np.clip(values + y.zero_point, low, 127).astype(np.int8))


def _element(tensor: Tensor, what: str) -> int:
    """The code of a quantized tensor's type."""
    if tensor.dtype not in p.ELEMENTS or tensor.quantization is None:
        types = ", ".join(t.name for t in p.ELEMENTS)
        raise BuiltinError(
            f"{what} {tensor.name}: got {tensor.dtype}, expected one of {types}, quantized"
        )
    return p.ELEMENTS[tensor.dtype]


def quantize(tensors: Tensors, op: Operator) -> p.Table | p.Quantize | p.Requantize:
    """As TFLM's quantize_common.cc, of float32 or of integers."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    output, limits = _element(y, "output"), np.iinfo(y.dtype)
    low, high = int(limits.min), int(limits.max)
    if x.dtype == np.float32:
        return p.Quantize(y.size, output, y.scale, y.zero_point, low, high)
    input_type = _element(x, "input")
    if x.dtype == y.dtype == np.int8:
        return _rescaled(x, y, low)
    factor = p.quantize_multiplier(x.scale / y.scale)
    ends_of_x = (int(np.iinfo(x.dtype).min), int(np.iinfo(x.dtype).max))
    widest = max(abs(v - x.zero_point) for v in ends_of_x)
    if widest << max(factor.shift, 0) >= 1 << 31:
        raise BuiltinError(f"the scale of {y.name} is too small for that of {x.name}")
    return p.Requantize(
        *(y.size, input_type, output, x.zero_point, y.zero_point),
        *(factor.multiplier, factor.shift, low, high),
    )


def dequantize(tensors: Tensors, op: Operator) -> p.Dequantize:
    """As TFLM's dequantize_common.cc."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    if y.dtype != np.float32:
        raise BuiltinError(f"output {y.name}: got {y.dtype}, expected float32")
    return p.Dequantize(y.size, _element(x, "input"), x.scale, x.zero_point)


def relu(tensors: Tensors, op: Operator) -> p.Table:
    """As TFLM's activations_common.cc."""
    x, y = ends(tensors, op)
    return _rescaled(x, y, y.zero_point)


def relu_6(tensors: Tensors, op: Operator) -> p.Table:
    """TFLM clamps without rescaling."""
    x, y = ends(tensors, op)
    same_quantization(x, y)
    low, high = activation_range(schema.ActivationFunctionType.RELU6, x)
    return p.Table(np.clip(_INT8, low, high).astype(np.int8))
