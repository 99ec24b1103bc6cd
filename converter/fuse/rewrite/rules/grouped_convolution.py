# SPDX-License-Identifier: Apache-2.0
"""A grouped convolution in convolutions that the kernels have.

Each group of output channels reads a group of input channels of its own (ResNeXt, ShuffleNet,
EfficientViT). With one input channel a group that is a depthwise convolution; else the groups are
convolved one by one between a SPLIT and a CONCATENATION of channels. Sums, rescaling and rounding
of each channel stay, so the result is the same to the bit.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.joins import join
from converter.tflite import GraphView, Operator, Quantization, Tensor

_MOST_GROUPS = 64  # operators that one becomes; TFLM runs the plain one


def _part(tensor: Tensor, first: int, count: int, name: str) -> Tensor:
    """`count` output channels (the first axis) of a layer's weights or bias."""
    assert tensor.data is not None
    data, q = np.ascontiguousarray(tensor.data[first : first + count]), tensor.quantization
    if q is not None and len(q.scale) > 1:
        part = slice(first, first + count)
        q = Quantization(q.scale[part], q.zero_point[part], q.axis)
    return Tensor(f"{tensor.name}/{name}", data.shape, data.dtype, q, data)


def _depthwise(view: GraphView, op: int) -> Edit:
    """One input channel a group: weights [outputs, h, w, 1] become [1, h, w, outputs]."""
    old, b = view.op(op), Builder(view)
    w = view.tensor(old.inputs[1])
    assert w.data is not None
    data = np.ascontiguousarray(w.data.transpose(3, 1, 2, 0))
    q = w.quantization
    if q is not None and len(q.scale) > 1:
        q = Quantization(q.scale, q.zero_point, 3)
    o = old.options
    b.op(
        "DEPTHWISE_CONV_2D",
        [old.inputs[0], b.constant(data, f"{w.name}/depthwise", q), *old.inputs[2:]],
        list(old.outputs),
        "DepthwiseConv2DOptions",
        padding=o.padding,
        strideH=o.strideH,
        strideW=o.strideW,
        dilationHFactor=o.dilationHFactor,
        dilationWFactor=o.dilationWFactor,
        fusedActivationFunction=o.fusedActivationFunction,
        depthMultiplier=w.shape[0] // view.tensor(old.inputs[0]).shape[3],
    )
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


def _group(b: Builder, old: Operator, x: int, i: int, outputs: int) -> int:
    """Group i of the convolution, of input channels x; its result."""
    constants = [
        b.tensor(_part(b.get(t), i * outputs, outputs, f"group{i}")) if t >= 0 else t
        for t in old.inputs[1:]
    ]
    shape = b.get(old.outputs[0]).shape
    y = b.like(old.outputs[0], (*shape[:3], outputs), f"{b.get(old.outputs[0]).name}/group{i}")
    layer = dataclasses.replace(
        old, inputs=(x, *constants), outputs=(y,), options=copy.copy(old.options)
    )
    b.operators.append(layer)
    return y


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    x, w, y = (view.tensor(t) for t in (*old.inputs[:2], old.outputs[0]))
    if not is_int8(x) or not is_int8(y) or w.data is None or len(w.shape) != 4:
        return None
    if any(t >= 0 and view.tensor(t).data is None for t in old.inputs[2:]):
        return None
    groups, rest = divmod(x.shape[3], w.shape[3])
    if rest or groups < 2 or w.shape[0] % groups:
        return None
    if w.shape[3] == 1:
        return _depthwise(view, op)
    if groups > _MOST_GROUPS:
        return None
    b = Builder(view)
    axis = b.constant(np.array(3, np.int32), "axis")
    shape = (*x.shape[:3], w.shape[3])
    parts = [b.like(old.inputs[0], shape, f"{x.name}/group{i}") for i in range(groups)]
    b.op("SPLIT", [axis, old.inputs[0]], parts, "SplitOptions", numSplits=groups)
    made = [_group(b, old, part, i, w.shape[0] // groups) for i, part in enumerate(parts)]
    join(b, made, old.outputs[0], axis=3)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "grouped_convolution",
    "writes a grouped CONV_2D as DEPTHWISE_CONV_2D, or group by group between SPLIT and "
    "CONCATENATION",
    frozenset({"CONV_2D"}),
    _apply,
)
