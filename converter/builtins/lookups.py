# SPDX-License-Identifier: Apache-2.0
"""GATHER, and NEG of float32."""

from __future__ import annotations

import numpy as np

from converter.builtins.common import BuiltinError, Tensors, same_quantization
from converter.tflite import Operator
from tflm_custom_ops.builtins import lookups as u


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def gather(tensors: Tensors, op: Operator) -> u.Gather:
    """Indices are int32, constant or not."""
    x, indices = tensors[op.inputs[0]], tensors[op.inputs[1]]
    y = tensors[op.outputs[0]]
    if indices.dtype != np.int32 or x.dtype != y.dtype:
        raise BuiltinError(f"got {indices.dtype} indices of {x.dtype}, expected int32, one type")
    if x.quantization is not None:
        same_quantization(x, y)
    axis = op.options.axis % len(x.shape)
    batch = op.options.batchDims + (len(indices.shape) if op.options.batchDims < 0 else 0)
    if not 0 <= batch <= axis or x.shape[:batch] != indices.shape[:batch] or not x.shape[axis]:
        raise BuiltinError(f"got {batch} batch dimensions and axis {axis} of {list(x.shape)}")
    found = u.Gather(
        *(_size(x.shape[:batch]), _size(x.shape[batch:axis]), x.shape[axis]),
        *(_size(indices.shape[batch:]), _size(x.shape[axis + 1 :]) * x.dtype.itemsize),
    )
    if found.batches * found.outer * found.indices * found.inner_bytes != y.nbytes:
        raise BuiltinError(f"output: got {list(y.shape)} for {list(indices.shape)} indices")
    return found


def negate(tensors: Tensors, op: Operator) -> u.NegateFloat:
    """TFLM negates float32 only."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    if x.dtype != np.float32 or y.dtype != np.float32:
        raise BuiltinError(f"got {x.dtype} {x.name}, expected float32")
    return u.NegateFloat(x.size)
