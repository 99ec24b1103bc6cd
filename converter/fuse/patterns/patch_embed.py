# SPDX-License-Identifier: Apache-2.0
"""Patch embedding: CONV_2D, reshape, class token and positions in any order; anchored at the conv.

The chain behind the convolution is affine in its result; run on zeros it gives positions and class
token as they arrive in each token, run on numbers it must put patch t's features into row t.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.patterns.linear import (
    DenseLayer,
    channel_scale,
    integer_bias,
    require_int8,
)
from converter.fuse.region import check_closed
from converter.fuse.semantics import JOINS, POINTWISE, VIEWS, evaluate, fused_activation
from converter.tflite import GraphView

_CHAIN = frozenset({*VIEWS, *JOINS, "ADD", "SUB", "QUANTIZE"}) & frozenset(
    {*VIEWS, *JOINS, *POINTWISE}
)
_MAX_CHAIN = 8


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where patches lie in the image, in pixels."""

    image_height: int
    image_width: int
    channels: int
    patch_height: int
    patch_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    grid_height: int
    grid_width: int


@dataclasses.dataclass(frozen=True, eq=False)
class PatchEmbedMatch:
    """A patch embedding.

    Attributes:
      x: int8 image; y: int8 tokens.
      layer: weights [embed_dim, patch_height * patch_width * channels]; out_scale is y's.
      cls: float64 [embed_dim], the whole of token 0, or None.
      pos: float64 [patches, embed_dim], or None.
      pos_source: (int8 values, scale, zero point) if the graph holds exactly these positions.
      ops: every operator that the embedding replaces.
    """

    x: int
    y: int
    geometry: Geometry
    layer: DenseLayer
    cls: NDArray[np.float64] | None
    pos: NDArray[np.float64] | None
    pos_source: tuple[NDArray[np.int8], float, int] | None
    ops: tuple[int, ...]


def match_patch_embed(view: GraphView, conv: int) -> PatchEmbedMatch:
    """The patch embedding that starts at a CONV_2D.

    Raises:
      NoMatchError: the convolution is not followed by tokens, or is of a kind that is not fused.
    """
    layer, geometry, x, pads = _match_conv(view, conv)
    chain = _chain(view, layer.output)
    for length in range(len(chain), 0, -1):
        y = view.op(chain[length - 1]).outputs[0]
        tokens = _match_tokens(view, layer.output, y, chain[:length], geometry)
        if tokens is None:
            continue
        cls, pos = tokens
        target = require_int8(view, y, "the tokens")
        ops = tuple(sorted({*pads, conv, *chain[:length]}))
        check_closed(view, ops, {y})
        return PatchEmbedMatch(
            x,
            y,
            geometry,
            dataclasses.replace(layer, out_scale=target.scale, out_zero_point=target.zero_point),
            cls,
            pos,
            None if pos is None else _stored_positions(view, chain[:length], pos),
            ops,
        )
    raise NoMatchError(f"{view.label(conv)} is not followed by tokens")


def _match_conv(view: GraphView, conv: int) -> tuple[DenseLayer, Geometry, int, tuple[int, ...]]:
    op, what = view.op(conv), view.label(conv)
    options = op.options
    if options.dilationHFactor != 1 or options.dilationWFactor != 1:
        raise NoMatchError(f"{what} is dilated")
    if fused_activation(op) != "NONE":
        raise NoMatchError(f"{what} has a fused {fused_activation(op)}")
    source = require_int8(view, op.inputs[0], f"input of {what}")
    result = require_int8(view, op.outputs[0], f"output of {what}")
    filters = view.tensor(op.inputs[1])
    if filters.data is None or len(source.shape) != 4 or source.shape[0] != 1:
        raise NoMatchError(f"{what} has no constant filters or no batch of 1")
    count, height, width, channels = filters.shape
    if channels != source.shape[3]:
        raise NoMatchError(f"{what} is grouped")
    x, pads, top, left = _padding(view, conv, height, width)
    image = view.tensor(x).shape
    geometry = Geometry(
        image_height=image[1],
        image_width=image[2],
        channels=image[3],
        patch_height=height,
        patch_width=width,
        stride_y=options.strideH,
        stride_x=options.strideW,
        pad_top=top,
        pad_left=left,
        grid_height=result.shape[1],
        grid_width=result.shape[2],
    )
    scale = channel_scale(filters, 0, count, what)
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    bias = view.tensor(op.inputs[2]) if has_bias else None
    layer = DenseLayer(
        op=conv,
        input=x,
        output=op.outputs[0],
        weights=filters.data.reshape(count, -1),
        weight_scale=scale,
        bias=integer_bias(bias, source.scale * scale, what),
        in_scale=source.scale,
        in_zero_point=source.zero_point,
        out_scale=result.scale,
        out_zero_point=result.zero_point,
        activation="NONE",
    )
    return layer, geometry, x, pads


def _padding(
    view: GraphView, conv: int, height: int, width: int
) -> tuple[int, tuple[int, ...], int, int]:
    """(image tensor, PAD operators, rows above, columns to the left) of the convolution."""
    op = view.op(conv)
    source = op.inputs[0]
    if op.options.padding == schema.Padding.SAME:
        rows, columns = view.tensor(source).shape[1:3]
        top = _same_padding(rows, height, op.options.strideH)
        return source, (), top, _same_padding(columns, width, op.options.strideW)
    pad = view.producer(source)
    if pad is None or view.op(pad).opcode != "PAD":
        return source, (), 0, 0
    image, amounts = view.op(pad).inputs[:2]
    table = view.tensor(amounts).data
    if table is None or np.any(table[[0, 3]]):
        return source, (), 0, 0
    same = view.tensor(image), view.tensor(source)
    if same[0].scale != same[1].scale or same[0].zero_point != same[1].zero_point:
        return source, (), 0, 0
    return image, (pad,), int(table[1][0]), int(table[2][0])


def _same_padding(size: int, kernel: int, stride: int) -> int:
    """Rows before the image with TensorFlow's SAME rule (the smaller half)."""
    outputs = -(-size // stride)
    return max(0, (outputs - 1) * stride + kernel - size) // 2


def _chain(view: GraphView, start: int) -> list[int]:
    """The operators behind a tensor, each the only reader of the one before."""
    chain: list[int] = []
    tensor = start
    while len(chain) < _MAX_CHAIN and len(view.consumers(tensor)) == 1:
        op = view.consumers(tensor)[0]
        operator = view.op(op)
        others = [i for i in operator.inputs if i != tensor]
        if (
            operator.opcode not in _CHAIN
            or len(operator.outputs) != 1
            or fused_activation(operator) != "NONE"
            or not all(view.is_constant(i) for i in others)
        ):
            break
        chain.append(op)
        tensor = operator.outputs[0]
    return chain


def _match_tokens(
    view: GraphView, conv: int, y: int, ops: list[int], geometry: Geometry
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] | None:
    """(class token, positions) if `y` is tokens made of the convolution's result, else None."""
    shape = view.tensor(conv).shape
    patches, width = geometry.grid_height * geometry.grid_width, shape[-1]
    if len(view.tensor(y).shape) == 4 or view.tensor(y).shape[-1] != width:
        return None
    extra = view.tensor(y).size // width - patches
    if extra not in (0, 1):
        return None
    numbers = np.arange(1, patches * width + 1, dtype=np.float64)
    try:
        offset = evaluate(view, ops, {conv: np.zeros(shape)}, y).reshape(-1, width)
        moved = evaluate(view, ops, {conv: numbers.reshape(shape)}, y).reshape(-1, width)
    except NoMatchError:
        return None
    expected = np.concatenate([np.zeros(extra * width), numbers]).reshape(-1, width)
    if not np.allclose(moved - offset, expected, rtol=0, atol=1e-3):
        return None
    cls = offset[0] if extra else None
    pos = offset[extra:]
    return cls, pos if np.any(pos) else None


def _stored_positions(
    view: GraphView, ops: list[int], pos: NDArray[np.float64]
) -> tuple[NDArray[np.int8], float, int] | None:
    """The int8 constant of the graph that holds exactly these positions, if there is one."""
    for op in ops:
        for i in view.op(op).inputs:
            t = view.tensor(i)
            if not t.is_constant or t.dtype != np.int8 or t.quantization is None:
                continue
            if len(t.quantization.scale) != 1 or t.scale <= 0:
                continue
            q = np.rint(pos / t.scale) + t.zero_point
            exact = np.allclose((q - t.zero_point) * t.scale, pos, rtol=0, atol=1e-3 * t.scale)
            if exact and q.min() >= -128 and q.max() <= 127:
                return q.astype(np.int8), t.scale, t.zero_point
    return None
