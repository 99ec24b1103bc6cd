# SPDX-License-Identifier: Apache-2.0
"""Operators that move values."""

from __future__ import annotations

import numpy as np

from converter.builtins.common import (
    BuiltinError,
    Tensors,
    constant,
    ends,
    int8_tensor,
    same_quantization,
    shape_4,
)
from converter.tflite import Operator
from tflm_custom_ops.builtins import params as p


def reshape(tensors: Tensors, op: Operator) -> p.Reshape:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    return p.Reshape(tensors[op.outputs[0]].size)


def pad(tensors: Tensors, op: Operator) -> p.Pad:
    """PAD with the zero point, PADV2 with a value."""
    x, y = ends(tensors, op)
    same_quantization(x, y)
    value = y.zero_point
    if len(op.inputs) == 3 and op.inputs[2] >= 0:
        value = int(constant(tensors, op.inputs[2], "padding value").reshape(-1)[0])
    paddings = constant(tensors, op.inputs[1], "paddings")
    before = tuple(0 for _ in range(4 - len(x.shape))) + tuple(int(b) for b, _ in paddings)
    return p.Pad(shape_4(x.shape), shape_4(y.shape), shape_4(before), value)


def strided_slice(tensors: Tensors, op: Operator) -> p.StridedSlice:
    """Static bounds and positive steps."""
    x, y = ends(tensors, op)
    begin, _, steps = (constant(tensors, i, "bounds").reshape(-1) for i in op.inputs[1:4])
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
        shape_4(x.shape),
        shape_4(tuple(sizes)),
        shape_4((0,) * len(lead) + tuple(starts)),
        shape_4(lead + tuple(int(s) for s in steps)),
    )


def concatenation(tensors: Tensors, op: Operator) -> p.Concatenation:
    """Inputs and output of one scale."""
    y = int8_tensor(tensors[op.outputs[0]], "output")
    inputs = [int8_tensor(tensors[i], "input") for i in op.inputs]
    for x in inputs:
        same_quantization(x, y)
    if op.options.fusedActivationFunction:
        raise BuiltinError("a fused activation is not supported")
    axis = op.options.axis % len(y.shape)
    inner = tuple(int(np.prod(x.shape[axis:], dtype=np.int64)) for x in inputs)
    return p.Concatenation(int(np.prod(y.shape[:axis], dtype=np.int64)), inner)
