# SPDX-License-Identifier: Apache-2.0
"""What all readers of builtin operators need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Operator, Tensor
from converter.tflite.schema import ACTIVATION_NAMES
from tflm_custom_ops.builtins import params as p

Tensors = Sequence[Tensor]


class BuiltinError(ValueError):
    """A builtin operator in a form that is not supported; the message says which and why."""


def activation_range(function: int, output: Tensor) -> tuple[int, int]:
    """TFLite's CalculateActivationRangeQuantized for int8 and int16."""
    scale, zero_point = np.float32(output.scale), output.zero_point

    def quantized(real: float) -> int:
        return zero_point + int(np.trunc(np.float32(real) / scale + np.copysign(0.5, real)))

    name = ACTIVATION_NAMES[function]
    limits = np.iinfo(output.dtype)
    low, high = int(limits.min), int(limits.max)
    if name in ("RELU", "RELU6"):
        low = max(low, zero_point)
    if name == "RELU6":
        high = min(high, quantized(6.0))
    if name == "RELU_N1_TO_1":
        low, high = max(low, quantized(-1.0)), min(high, quantized(1.0))
    elif name not in ("NONE", "RELU", "RELU6"):
        raise BuiltinError(f"fused activation {name} is not supported")
    return low, high


def int8_tensor(tensor: Tensor, what: str) -> Tensor:
    """``tensor``, which must be quantized int8."""
    if tensor.dtype != np.int8 or tensor.quantization is None:
        raise BuiltinError(f"{what} {tensor.name}: got {tensor.dtype}, expected quantized int8")
    return tensor


def int16_tensor(tensor: Tensor, what: str) -> Tensor:
    """``tensor``, which must be quantized int16, of zero point 0."""
    q = tensor.quantization
    if tensor.dtype != np.int16 or q is None or tensor.zero_point != 0:
        raise BuiltinError(
            f"{what} {tensor.name}: got {tensor.dtype}, expected quantized int16 of zero point 0"
        )
    return tensor


def ends(tensors: Tensors, op: Operator) -> tuple[Tensor, Tensor]:
    return int8_tensor(tensors[op.inputs[0]], "input"), int8_tensor(
        tensors[op.outputs[0]], "output"
    )


def constant(tensors: Tensors, index: int, what: str) -> NDArray[Any]:
    """The value of tensor ``index``, which must be a constant."""
    data = tensors[index].data
    if data is None:
        raise BuiltinError(f"{what} {tensors[index].name}: expected a constant")
    return data


def shape_4(shape: tuple[int, ...]) -> p.Shape4:
    """``shape`` with ones in front, up to four dimensions."""
    if len(shape) > 4:
        raise BuiltinError(f"got shape {list(shape)}, expected at most 4 dimensions")
    a, b, c, d = (1,) * (4 - len(shape)) + shape
    return a, b, c, d


def product_factor(a: Tensor, b: Tensor, y: Tensor) -> float:
    """Real factor of a product with one scale each.

    TFLite multiplies the two scales in float32 (GetQuantizedConvolutionMultipler of kernel_util.cc)
    but those of layers with a scale per channel in double precision: one output in 10**6 differs.
    """
    return float(np.float32(a.scale) * np.float32(b.scale)) / y.scale


def same_quantization(x: Tensor, y: Tensor) -> None:
    """Refuses an operator that would have to rescale."""
    if x.scale != y.scale or x.zero_point != y.zero_point:
        raise BuiltinError(f"input and output {y.name} have different scales")


def broadcast_strides(shape: tuple[int, ...], output: p.Shape4) -> p.Shape4:
    """Element strides of an operand that is broadcast to ``output``."""
    extended, stride, strides = shape_4(shape), 1, [0, 0, 0, 0]
    for axis in (3, 2, 1, 0):
        if extended[axis] not in (1, output[axis]):
            raise BuiltinError(f"got shape {list(shape)}, which does not broadcast to {output}")
        strides[axis] = 0 if extended[axis] == 1 else stride
        stride *= extended[axis]
    return strides[0], strides[1], strides[2], strides[3]
