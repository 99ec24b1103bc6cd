# SPDX-License-Identifier: Apache-2.0
"""Mean and standard deviation before a patch embedding become part of its weights and bias.

Keras' Rescaling and Normalization, and (x / 255 - mean) / std written out, are MUL, DIV, ADD and
SUB with constants on the whole image. W (f x + d) = (W f) x + W d: with one f for all channels the
integers of the weights stay, with one a channel those of the largest do and others are rounded
again; the rounding of the normalized image to int8 is saved. The gate decides whether that is good
enough. What the image's own numbers mean (the file's input, its scale and metadata) stays.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.affine import Affine, affine_of
from converter.fuse.errors import NoMatchError
from converter.fuse.layout import data_input
from converter.fuse.op_semantics import fused_activation
from converter.fuse.patterns.linear import DenseLayer
from converter.fuse.patterns.patches import Patches
from converter.fuse.rewrite.building import is_int8, single_reader
from converter.tflite import GraphView

_SCALES = frozenset({"MUL", "DIV", "ADD", "SUB"})


def with_scaling(view: GraphView, patches: Patches) -> Patches:
    """The patches of the image before its constants.

    Raises:
      NoMatchError: nothing scales it, or an offset would reach the padding.
    """
    geometry = patches.geometry
    axis = 1 if geometry.planes else -1
    total, x, ops = Affine(np.ones(1), np.zeros(1)), patches.x, list(patches.ops)
    while (step := _step(view, x, geometry.channels, axis)) is not None:
        op, x, affine = step
        total = total.after(affine)
        ops.append(op)
    if x == patches.x:
        raise NoMatchError("nothing scales the image")
    if np.any(total.offset) and geometry.is_padded:
        raise NoMatchError("an offset before padding is no constant behind it")
    if np.any(total.factor == 0.0) or not np.all(np.isfinite(total.factor)):
        raise NoMatchError("a channel is nothing")
    layer = _scaled(patches, total, view, x)
    return Patches(x, geometry, layer, tuple(sorted(ops)))


def _step(view: GraphView, tensor: int, channels: int, axis: int) -> tuple[int, int, Affine] | None:
    """(operator, its input, what it computes) of a constant operator that makes the image."""
    op = view.producer(tensor)
    if op is None or single_reader(view, tensor) is None:
        return None
    source = data_input(view, op)
    if view.op(op).opcode not in _SCALES or fused_activation(view.op(op)) != "NONE":
        return None
    if source is None or not is_int8(view.tensor(source)):
        return None
    if view.tensor(source).shape != view.tensor(tensor).shape:
        return None
    affine = affine_of(view, op, source, channels, axis)
    return None if affine is None else (op, source, affine)


def _scaled(patches: Patches, affine: Affine, view: GraphView, x: int) -> DenseLayer:
    """The layer on the image before `affine`, the tensor `x`."""
    layer, g = patches.layer, patches.geometry
    pixels = g.patch_height * g.patch_width
    each = np.repeat if g.planes else np.tile  # how channels stand in a row of weights
    factor = each(np.broadcast_to(affine.factor, g.channels), pixels)
    offset = each(np.broadcast_to(affine.offset, g.channels), pixels)
    unit = np.abs(factor).max()
    values = np.rint(layer.weights * (factor / unit))
    scale = layer.weight_scale * unit
    image = view.tensor(x)
    # In the middle of the image's range rounded weights change nothing.
    middle = (-0.5 - image.zero_point) * image.scale
    constant = (layer.bias * layer.in_scale + layer.weights @ (factor * middle + offset)) * (
        layer.weight_scale
    ) - scale * values.sum(axis=1) * middle
    bias = np.rint(constant / (image.scale * scale))
    return dataclasses.replace(
        layer,
        input=x,
        weights=values.astype(np.int8),
        weight_scale=scale,
        bias=bias.astype(np.int64),
        in_scale=image.scale,
        in_zero_point=image.zero_point,
    )
