# SPDX-License-Identifier: Apache-2.0
"""A convolution that only moves pixels, and the linear layer on what it moved, are one convolution.

Keras' `ops.image.extract_patches` cuts patches out with filters of one tap each. As filters the
layer's weights read the same pixels; the matrix of taps goes, which is as large as a patch squared.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.constant_factor import layer_before
from converter.tflite import GraphView, Quantization, Tensor

_ONE = 1e-5  # how far a tap may be from 1
_INT32 = 2**31 - 1


def _taps(view: GraphView, conv: int) -> NDArray[np.int64] | None:
    """The element of a patch that each channel of a convolution is; None where one is no pixel."""
    op = view.op(conv)
    if op.opcode != "CONV_2D" or fused_activation(op) != "NONE" or len(op.inputs) != 3:
        return None
    if op.options.dilationHFactor != 1 or op.options.dilationWFactor != 1 or op.inputs[2] < 0:
        return None
    x, filters, bias = (view.tensor(i) for i in op.inputs)
    if not is_int8(x) or not is_int8(view.tensor(op.outputs[0])):
        return None
    if filters.data is None or filters.quantization is None or filters.dtype != np.int8:
        return None
    if bias.data is None or np.any(bias.data) or filters.shape[3] != x.shape[3]:
        return None
    taps = filters.data.reshape(len(filters.data), -1)
    if np.any(np.count_nonzero(taps, axis=1) != 1):
        return None
    at = np.argmax(taps != 0, axis=1)
    values = filters.real().reshape(taps.shape)[np.arange(len(at)), at]
    distinct = len(np.unique(at)) == len(at)
    return at if distinct and np.all(np.abs(values - 1.0) < _ONE) else None


def _bias(
    bias: Tensor | None, unit: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.int32] | None:
    """In units of the new sums; None if it has no such form."""
    if bias is None:
        return np.zeros(len(unit), np.int32)
    if bias.data is None or bias.dtype != np.int32 or bias.size != len(unit):
        return None
    values = np.floor(bias.data.reshape(-1) * (before / unit) + 0.5)
    return values.astype(np.int32) if np.max(np.abs(values)) <= _INT32 else None


def _apply(view: GraphView, op: int) -> Edit | None:
    layer = view.op(op)
    found = layer_before(view, layer.inputs[0])
    if found is None:
        return None
    conv, reshapes = found
    taps = _taps(view, conv)
    w, y = view.tensor(layer.inputs[1]), view.tensor(layer.outputs[0])
    q = w.quantization
    if taps is None or w.data is None or q is None or w.dtype != np.int8 or not is_int8(y):
        return None
    per_row = len(q.scale) == 1 or q.axis == 0
    if not per_row or np.any(q.zero_point) or w.shape[1] != len(taps):
        return None
    if view.tensor(layer.inputs[0]).shape[-1] != len(taps):
        return None  # rows of the layer are no patches
    old = view.op(conv)
    _, height, width, channels = view.tensor(old.inputs[1]).shape
    filters = np.zeros((len(w.data), height * width * channels), np.int8)
    filters[:, taps] = w.data
    has_bias = len(layer.inputs) > 2 and layer.inputs[2] >= 0
    scales = np.broadcast_to(q.scale.astype(np.float64), len(w.data))
    x = view.tensor(old.inputs[0])
    unit, before = x.scale * scales, view.tensor(layer.inputs[0]).scale * scales
    bias = _bias(view.tensor(layer.inputs[2]) if has_bias else None, unit, before)
    if bias is None:
        return None
    b = Builder(view)
    shape = (len(filters), height, width, channels)
    made = b.constant(filters.reshape(shape), w.name, q)
    counted = Quantization(unit.astype(np.float32), np.zeros(len(unit), np.int64))
    added = b.constant(bias, f"{y.name}/bias", counted)
    grid = view.tensor(old.outputs[0]).shape
    result = b.like(layer.outputs[0], (*grid[:3], len(filters)), f"{y.name}/grid")
    options = type(old.options)()
    options.__dict__.update(old.options.__dict__)
    options.fusedActivationFunction = layer.options.fusedActivationFunction
    b.operators.append(
        dataclasses.replace(
            old, inputs=(old.inputs[0], made, added), outputs=(result,), options=options
        )
    )
    b.reshape(result, y.shape, layer.outputs[0])
    return Edit((op, conv, *reshapes), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "unfolded_patches",
    "makes one convolution of one that only moves pixels and the linear layer on its patches",
    frozenset({"FULLY_CONNECTED"}),
    _apply,
)
