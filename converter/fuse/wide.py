# SPDX-License-Identifier: Apache-2.0
"""The int16 type of a tensor that the graph has in int8, and tensors of another type."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.op_semantics import Array
from converter.tflite import Quantization, Tensor
from tflm_custom_ops.ops import residual_dtype
from tflm_custom_ops.ops.schema.residual import INT8

_HALF = 0.501  # of a step; float32 ends a little beyond
AS_INT8, AS_INT16 = "/int8", "/int16"  # behind a tensor's name: the same of another type


def int16_of(tensor: Tensor) -> Range:
    """The symmetric int16 type that holds all that an int8 tensor with one scale can."""
    largest = max(tensor.zero_point - INT8.low, INT8.high - tensor.zero_point)
    return Range.int16(tensor.scale * largest)


def retyped(tensor: Tensor, type_: Range, real: Array | None = None) -> Tensor:
    """The tensor with the type that it has in the fused graph, a constant's numbers as well.

    Args:
      real: those numbers, where they are known better than the tensor has them.
    """
    data = tensor.data
    dtype = np.dtype(residual_dtype(type_.bits))
    if data is not None:
        real = tensor.real() if real is None else real
        data = type_.quantize(real.astype(np.float64)).astype(dtype).reshape(tensor.shape)
    quantization = Quantization.per_tensor(type_.scale, type_.zero_point)
    return dataclasses.replace(tensor, dtype=dtype, quantization=quantization, data=data)


def before_rounding(tensors: Sequence[Tensor], constant: Tensor) -> Array | None:
    """The float numbers that became an int8 constant of the graph, of any shape; None if unknown.

    What rules round stays among the tensors, and they call the integers of NAME "NAME/int8".

    Args:
      tensors: of the graph in normal form.
    """
    names, name = set[str](), constant.name.removesuffix(AS_INT16)
    while name.endswith(AS_INT8):
        name = name.removesuffix(AS_INT8)
        names.add(name)
    for t in tensors:
        if t.name in names and t.data is not None and _rounds_to(t, constant):
            return t.data
    return None


def _rounds_to(exact: Tensor, constant: Tensor) -> bool:
    """Whether float numbers are nowhere farther from the constant's than rounding takes them."""
    if exact.dtype != np.float32 or exact.size != constant.size:
        return False
    real = exact.real()
    return bool(np.all(np.abs(real.ravel() - constant.real().ravel()) <= _HALF * constant.scale))
