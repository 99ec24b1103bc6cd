# SPDX-License-Identifier: Apache-2.0
"""Linear layers on image patches: CONV_2D, or FULLY_CONNECTED behind reshapes and transposes.

The image may be [1, channels, height, width], as PyTorch has it: its planes are read in place.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import element_index, step_back, trace_back
from converter.fuse.op_semantics import VIEWS, fused_activation
from converter.fuse.patterns.linear import (
    DenseLayer,
    channel_weights,
    integer_bias,
    match_dense,
    require_int8,
)
from converter.fuse.rewrite.building import single_reader
from converter.tflite import GraphView
from converter.tflite.schema import schema

_MAX_VIEWS = 8


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
    planes: bool = False

    @property
    def patches(self) -> int:
        return self.grid_height * self.grid_width

    @property
    def is_padded(self) -> bool:
        """Whether patches reach beyond the image."""
        bottom = self.pad_top + self.image_height - (self.grid_height - 1) * self.stride_y
        right = self.pad_left + self.image_width - (self.grid_width - 1) * self.stride_x
        inside = bottom >= self.patch_height and right >= self.patch_width
        return bool(self.pad_top or self.pad_left or not inside)


@dataclasses.dataclass(frozen=True, eq=False)
class Patches:
    """A linear layer on every patch of an image.

    Attributes:
      x: int8 image [1, height, width, channels], of planes [1, channels, height, width].
      layer: weights [embed_dim, patch_height * patch_width * channels], pixels row by row, of
        planes one after the other.
      ops: operators from the image to the layer's output.
    """

    x: int
    geometry: Geometry
    layer: DenseLayer
    ops: tuple[int, ...]


def match_patches(view: GraphView, anchor: int) -> Patches:
    """The patches that a CONV_2D or FULLY_CONNECTED computes on.

    Raises:
      NoMatchError: with the reason.
    """
    if view.op(anchor).opcode == "CONV_2D":
        return _match_conv(view, anchor)
    return _match_cut_out(view, anchor)


def _match_conv(view: GraphView, conv: int) -> Patches:
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
    _, height, width, channels = filters.shape
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
    turned = _transpose(view, x)
    weights = channel_weights(filters, what)
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    bias = view.tensor(op.inputs[2]) if has_bias else None
    layer = DenseLayer(
        op=conv,
        input=x,
        output=op.outputs[0],
        weights=weights.values,
        weight_scale=weights.scale,
        bias=integer_bias(bias, source.scale * weights.scale, what),
        in_scale=source.scale,
        in_zero_point=source.zero_point,
        out_scale=result.scale,
        out_zero_point=result.zero_point,
        activation="NONE",
    )
    if turned is None:
        return Patches(x, geometry, layer, (*pads, conv))
    source_planes = view.op(turned).inputs[0]
    order = np.arange(layer.weights.shape[1]).reshape(height, width, channels).transpose(2, 0, 1)
    return Patches(
        source_planes,
        dataclasses.replace(geometry, planes=True),
        dataclasses.replace(layer.columns(order.reshape(-1)), input=source_planes),
        (turned, *pads, conv),
    )


def _transpose(view: GraphView, image: int) -> int | None:
    """The operator that makes an image, for its only reader, of planes; None if there is none."""
    op = view.producer(image)
    if op is None or view.op(op).opcode not in VIEWS or single_reader(view, image) is None:
        return None
    source, made = view.tensor(view.op(op).inputs[0]), view.tensor(image)
    _, height, width, channels = made.shape
    types = [(t.scale, t.zero_point, t.dtype) for t in (source, made) if t.quantization is not None]
    if source.shape != (1, channels, height, width) or len(types) < 2 or types[0] != types[1]:
        return None
    turned = np.arange(made.size).reshape(source.shape[1:]).transpose(1, 2, 0)
    index = element_index(view, view.op(op).inputs[0], image, [op])
    return op if np.array_equal(index.reshape(turned.shape), turned) else None


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


def cuts_patches(view: GraphView, op: int) -> bool:
    """Whether a FULLY_CONNECTED reads a rearranged image rather than tokens."""
    if view.op(op).opcode != "FULLY_CONNECTED":
        return False
    base, transposed, tensor = -1, False, view.op(op).inputs[0]
    for _ in range(_MAX_VIEWS):
        step = step_back(view, tensor, scaling=False)
        if step is None:
            base = tensor
            break
        transposed |= view.op(step[0]).opcode == "TRANSPOSE"
        tensor = step[1]
    if base < 0 or not transposed or len(view.tensor(base).shape) != 4:
        return False
    producer = view.producer(base)
    return producer is None or view.op(producer).opcode != "BATCH_MATMUL"


def _match_cut_out(view: GraphView, op: int) -> Patches:
    """A FULLY_CONNECTED on patches that reshapes and transposes cut out of an image."""
    layer, what = match_dense(view, op), view.label(op)
    trace = trace_back(view, layer.input)
    image = view.tensor(trace.base).shape
    if len(image) != 4 or image[0] != 1 or layer.activation != "NONE":
        raise NoMatchError(f"{what} does not compute on patches of one image")
    index = trace.index.reshape(-1, layer.weights.shape[1])
    try:
        geometry, order = cut_out_geometry(ImagePixels.of_rows(index, image[1:]), what)
    except NoMatchError:
        if image[1] >= min(image[2:]):  # no planes: more of them than rows or columns
            raise
        geometry, order = cut_out_geometry(ImagePixels.of_planes(index, image[1:]), what)
    return Patches(trace.base, geometry, layer.columns(order), (*trace.ops, op))


@dataclasses.dataclass(frozen=True, eq=False)
class ImagePixels:
    """Row, column and channel of elements of an image [height, width, channels]."""

    y: NDArray[np.int64]
    x: NDArray[np.int64]
    channel: NDArray[np.int64]
    image: tuple[int, int, int]
    planes: bool

    @classmethod
    def of_rows(cls, index: NDArray[np.int64], image: tuple[int, ...]) -> ImagePixels:
        _, width, channels = image
        pixel, channel = np.divmod(index, channels)
        return cls(*np.divmod(pixel, width), channel, (image[0], width, channels), False)

    @classmethod
    def of_planes(cls, index: NDArray[np.int64], image: tuple[int, ...]) -> ImagePixels:
        channels, height, width = image
        channel, pixel = np.divmod(index, height * width)
        return cls(*np.divmod(pixel, width), channel, (height, width, channels), True)


def cut_out_geometry(p: ImagePixels, what: str) -> tuple[Geometry, NDArray[np.int64]]:
    """The geometry of patches [patches, elements], and the order of elements that weights have."""
    width, channels = p.image[1:]
    y, x = p.y, p.x
    top, left = y.min(axis=1, keepdims=True), x.min(axis=1, keepdims=True)
    place = ((y - top) * width + (x - left)) * channels + p.channel
    if np.any(place != place[0]):
        raise NoMatchError(f"{what} reads patches of different forms")
    rows, columns = int((y - top).max()) + 1, int((x - left).max()) + 1
    if rows * columns * channels != y.shape[1]:
        raise NoMatchError(f"{what} reads patches that are no rectangles")
    grid = _grid(top[:, 0], left[:, 0], rows, columns)
    if grid is None:
        raise NoMatchError(f"{what} reads patches that are not in rows from top left")
    down, across, stride_y, stride_x = grid
    geometry = Geometry(
        *p.image, rows, columns, stride_y, stride_x, 0, 0, down, across, planes=p.planes
    )
    pixels = (y - top)[0] * columns + (x - left)[0]
    if p.planes:
        return geometry, np.argsort(p.channel[0] * rows * columns + pixels)
    return geometry, np.argsort(pixels * channels + p.channel[0])


def _grid(
    top: NDArray[np.int64], left: NDArray[np.int64], rows: int, columns: int
) -> tuple[int, int, int, int] | None:
    """(patches down, across, stride down, across) of a regular grid from the origin, or None."""
    across = int(np.argmax(top != top[0])) or len(top)
    if len(top) % across:
        return None
    down = len(top) // across
    stride_y = int(top[across]) if down > 1 else rows
    stride_x = int(left[1]) if across > 1 else columns
    expected = np.divmod(np.arange(len(top)), across)
    regular = np.array_equal(top, expected[0] * stride_y) and np.array_equal(
        left, expected[1] * stride_x
    )
    return (down, across, stride_y, stride_x) if regular and stride_y * stride_x > 0 else None
