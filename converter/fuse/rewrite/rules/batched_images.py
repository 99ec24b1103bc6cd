# SPDX-License-Identifier: Apache-2.0
"""Layers over several images at once (frames of a video, windows) for kernels of one image.

Where windows do not overlap, as in a patch embedding, the images are stacked into one high one:
that is a reshape. Else each is computed by itself, between a SPLIT and a CONCATENATION.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.joins import join
from converter.tflite import GraphView, Operator

_MOST_IMAGES = 64  # operators that one becomes; TFLM runs the plain one
_KERNELS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})
_RESIZES = frozenset({"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"})


def _window_rows(view: GraphView, op: Operator) -> int | None:
    """Rows of the input that one row of the output reads; None where it is no window."""
    if op.opcode in _KERNELS:
        height: int = view.tensor(op.inputs[1]).shape[1]
        return (height - 1) * int(op.options.dilationHFactor) + 1
    return int(op.options.filterHeight) if op.opcode in _POOLS else None


def _may_stack(view: GraphView, op: Operator) -> bool:
    """Whether windows never reach from one image into the next, and none is padded in height."""
    rows = _window_rows(view, op)
    if rows is None:
        return False
    stride = int(op.options.strideH)
    return rows <= stride and view.tensor(op.inputs[0]).shape[1] % stride == 0


def _stacked(view: GraphView, op: int) -> Edit:
    old, b = view.op(op), Builder(view)
    (n, h, *rest), (_, high, *wide) = (
        view.tensor(t).shape for t in (old.inputs[0], old.outputs[0])
    )
    x = b.reshape(old.inputs[0], (1, n * h, *rest))
    y = b.like(old.outputs[0], (1, n * high, *wide), f"{b.get(old.outputs[0]).name}/stacked")
    b.operators.append(dataclasses.replace(old, inputs=(x, *old.inputs[1:]), outputs=(y,)))
    b.reshape(y, b.get(old.outputs[0]).shape, old.outputs[0])
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


def _one_by_one(view: GraphView, op: int) -> Edit:
    old, b = view.op(op), Builder(view)
    source, result = old.inputs[0], old.outputs[0]
    x, y = view.tensor(source), view.tensor(result)
    images = [b.like(source, (1, *x.shape[1:]), f"{x.name}/image{i}") for i in range(x.shape[0])]
    axis = b.constant(np.array(0, np.int32), "axis")
    b.op("SPLIT", [axis, source], images, "SplitOptions", numSplits=len(images))
    made = [b.like(result, (1, *y.shape[1:]), f"{y.name}/image{i}") for i in range(len(images))]
    for image, part in zip(images, made, strict=True):
        b.operators.append(
            dataclasses.replace(
                old,
                inputs=(image, *old.inputs[1:]),
                outputs=(part,),
                options=copy.copy(old.options),
            )
        )
    join(b, made, result, axis=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    x, y = view.tensor(old.inputs[0]), view.tensor(old.outputs[0])
    if len(x.shape) != 4 or not 1 < x.shape[0] == y.shape[0] or not is_int8(x) or not is_int8(y):
        return None
    if _may_stack(view, old):
        return _stacked(view, op)
    return _one_by_one(view, op) if x.shape[0] <= _MOST_IMAGES else None


RULE = Rule(
    "batched_images",
    "writes layers over several images as one over stacked rows, or image by image",
    _KERNELS | _POOLS | _RESIZES,
    _apply,
)
