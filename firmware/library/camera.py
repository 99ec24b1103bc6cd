# SPDX-License-Identifier: Apache-2.0
"""From a camera's rows to a network's input: the definition that `<name>_camera.c` equals.

Each pixel becomes bytes (red, green and blue, or grey for a network of one channel), a part of the
frame is scaled to the network's size by area, and a table makes values of the network of it.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.library.pixels import Pixels

Bytes = NDArray[np.uint8]
MAX_AREA = 1 << 24  # pixels of a view: 255 times as many fit 32 bits


class PixelFormat(enum.IntEnum):
    """How a camera writes pixels; the numbers are those of the C header."""

    RGB565 = 0  # 16 bits little-endian, red in the upper five
    RGB565_SWAPPED = 1  # the upper byte first
    YUYV = 2  # two pixels in four bytes; full range, ITU-R BT.601
    UYVY = 3
    GREY = 4

    @property
    def pixel_bytes(self) -> int:
        return 1 if self is PixelFormat.GREY else 2


@dataclasses.dataclass(frozen=True)
class CameraView:
    """The part of a frame that the network sees, in pixels from the frame's top left.

    Raises:
      ValueError: it is empty, not inside the frame or over MAX_AREA; or a frame of two pixels in
        four bytes has an odd width.
    """

    format: PixelFormat
    frame_width: int
    frame_height: int
    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        across = self.left >= 0 and 0 < self.width <= self.frame_width - self.left
        down = self.top >= 0 and 0 < self.height <= self.frame_height - self.top
        paired = self.format in (PixelFormat.YUYV, PixelFormat.UYVY)
        if not across or not down or self.width * self.height > MAX_AREA:
            raise ValueError(f"view: got {self}, expected a part of the frame of up to {MAX_AREA}")
        if paired and self.frame_width % 2:
            raise ValueError(f"view: got a width of {self.frame_width}, expected an even one")


def center(
    format: PixelFormat, frame_width: int, frame_height: int, width: int, height: int
) -> CameraView:
    """The largest part in the middle of a frame that has the shape of width x height."""
    w = min(frame_width, frame_height * width // height)
    h = min(frame_height, frame_width * height // width)
    left, top = (frame_width - w) // 2, (frame_height - h) // 2
    return CameraView(format, frame_width, frame_height, left, top, w, h)


def scaled_frame(frame: Bytes, view: CameraView, width: int, height: int, channels: int) -> Bytes:
    """The network's image as bytes.

    Args:
      frame: uint8 [frame_height, frame_width * bytes of a pixel].
      view: of it.
      width, height, channels: of the network; 1 channel (grey) or 3 (red, green, blue).

    Returns:
      uint8 [height, width, channels]: each pixel the mean of the area that it covers, rounded, half
      up.
    """
    rows = frame.reshape(view.frame_height, -1)[view.top : view.top + view.height]
    pixels = decoded(rows, view.format, channels)[:, view.left : view.left + view.width]
    down, across = _overlaps(view.height, height), _overlaps(view.width, width)
    sums = np.einsum("rs,sxc,ox->roc", down, pixels.astype(np.int64), across)
    total = view.width * view.height
    return np.asarray(((sums + total // 2) // total).astype(np.uint8))


def camera_input(
    frame: Bytes, view: CameraView, pixels: Pixels, width: int, height: int, channels: int
) -> NDArray[np.int8]:
    """int8 [height, width, channels]: what the rows that are pushed hold."""
    image = scaled_frame(frame, view, width, height, channels)
    if pixels.reversed_channels:
        image = image[..., ::-1]
    table = np.broadcast_to(pixels.table, (channels, 256))
    return np.stack([table[c][image[..., c]] for c in range(channels)], axis=-1)


def decoded(rows: Bytes, format: PixelFormat, channels: int) -> NDArray[np.int32]:
    """Rows of a frame as bytes 0..255, [rows, frame_width, channels]."""
    if format in (PixelFormat.RGB565, PixelFormat.RGB565_SWAPPED):
        low, high = rows[:, 0::2].astype(np.int32), rows[:, 1::2].astype(np.int32)
        if format is PixelFormat.RGB565_SWAPPED:
            low, high = high, low
        word = high << 8 | low
        r, g, b = word >> 11, word >> 5 & 63, word & 31
        return _channels((r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2), channels)
    if format is PixelFormat.GREY:
        grey = rows.astype(np.int32)
        return _channels((grey, grey, grey), channels, grey)
    first = 0 if format is PixelFormat.YUYV else 1
    y = rows[:, first::2].astype(np.int32)
    u, v = (np.repeat(rows[:, at::4].astype(np.int32) - 128, 2, axis=1)
            for at in (1 - first, 3 - first))  # fmt: skip
    one = 1 << 16
    r = y * one + 91881 * v
    g = y * one - 22554 * u - 46802 * v
    b = y * one + 116130 * u
    rgb = tuple(np.clip(each + one // 2 >> 16, 0, 255) for each in (r, g, b))
    return _channels(rgb, channels, y)


def _channels(rgb: Any, channels: int, grey: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    if channels == 3:
        return np.stack(rgb, axis=-1).astype(np.int32)
    if grey is None:  # ITU-R 601, as grey images are made in training
        r, g, b = rgb
        grey = (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16
    return grey[..., np.newaxis]


def _overlaps(source: int, result: int) -> NDArray[np.int64]:
    """[result, source]: how much of each pixel lies in each of the result; a row sums to source."""
    a = np.arange(result)[:, np.newaxis] * source
    b = np.arange(source) * result
    overlap = np.minimum(a + source, b + result) - np.maximum(a, b)
    return np.asarray(np.clip(overlap, 0, None))
