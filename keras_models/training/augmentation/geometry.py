# SPDX-License-Identifier: Apache-2.0
"""Mirror, shift by whole pixels, and affine transformations of a batch."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Fill = Literal["zero", "reflect"]

_PIXELS_AT_ONCE = 1 << 15  # what is gathered from should stay in the cache


def mirror(images: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """Images (n, height, width, channels) of any type; those that are chosen are mirrored."""
    out = images.copy()
    out[chosen] = images[chosen, :, ::-1]
    return out


def shift(
    images: NDArray[Any], down: NDArray[np.int64], right: NDArray[np.int64], fill: Fill
) -> NDArray[Any]:
    """Images (n, height, width, channels) of any type, moved by whole pixels.

    Args:
      down, right: (n,), pixels.
      fill: "zero", or "reflect" at the edge (the outermost pixel is not repeated).
    """
    height, width = images.shape[1:3]
    margins = [int(np.abs(each).max(initial=0)) for each in (down, right)]
    pads = ((0, 0), *((margin, margin) for margin in margins), (0, 0))
    padded = np.pad(images, pads, mode="constant" if fill == "zero" else "reflect")
    out = np.empty_like(images)
    for i, (y, x) in enumerate(zip(margins[0] - down, margins[1] - right, strict=True)):
        out[i] = padded[i, y : y + height, x : x + width]
    return out


def shear_matrix(x: Floats, y: Floats) -> Floats:
    """(n, 6) of shears by x and y of a pixel per pixel, about the upper left corner."""
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.stack([one, x, zero, y, one, zero], axis=1)


def translation_matrix(right: Floats, down: Floats) -> Floats:
    """(n, 6) of shifts in pixels, whole or not."""
    one, zero = np.ones_like(right), np.zeros_like(right)
    return np.stack([one, zero, -right, zero, one, -down], axis=1)


def rotation_matrix(radians: Floats, height: int, width: int) -> Floats:
    """(n, 6) of turns about the centre of the image."""
    x, y = np.float32((width - 1) / 2), np.float32((height - 1) / 2)
    cos, sin = np.cos(radians), np.sin(radians)
    return np.stack([cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos], axis=1)


def zoom_matrix(scale: Floats, height: int, width: int) -> Floats:
    """(n, 6); a scale above 1 shows more, smaller, about the centre."""
    x, y = np.float32((width - 1) / 2), np.float32((height - 1) / 2)
    zero = np.zeros_like(scale)
    return np.stack([scale, zero, x * (1 - scale), zero, scale, y * (1 - scale)], axis=1)


def affine(images: Floats, matrices: Floats, fill: Fill) -> Floats:
    """Samples planes (n, channels, height, width) bilinearly.

    Output pixel (x, y) is the input's value at (a x + b y + c, d x + e y + f); matrices
    (n, 6) are a to f. The same as TensorFlow's ImageProjectiveTransformV3, which mirrors about the
    outer edge of the outermost pixel with "reflect".
    """
    height, width = images.shape[2:]
    some = max(1, _PIXELS_AT_ONCE // (height * width))
    out = np.empty_like(images)
    for start in range(0, len(images), some):
        part = slice(start, start + some)
        out[part] = _sampled(images[part], matrices[part], fill)
    return out


def _sampled(images: Floats, matrices: Floats, fill: Fill) -> Floats:
    count, channels, height, width = images.shape
    x, y = _coordinates(matrices, height, width)
    if fill == "reflect":
        x, y = _reflected(x, width), _reflected(y, height)
    columns, right, left = _taps(x, width, fill)
    rows, below, above = _taps(y, height, fill)
    rows = [each * width for each in rows]
    rows = [each + (np.arange(count, dtype=np.int32) * height * width)[:, None] for each in rows]
    at = [rows[0] + columns[0], rows[0] + columns[1], rows[1] + columns[0], rows[1] + columns[1]]
    out = np.empty_like(images)
    for channel in range(channels):
        plane = images[:, channel].reshape(-1)
        upper = left * plane.take(at[0]) + right * plane.take(at[1])
        lower = left * plane.take(at[2]) + right * plane.take(at[3])
        out[:, channel] = (above * upper + below * lower).reshape(count, height, width)
    return out


def _coordinates(matrices: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """Where each output pixel is read: x and y, (n, height * width)."""
    x = np.arange(width, dtype=np.float32)[None, None, :]
    y = np.arange(height, dtype=np.float32)[None, :, None]
    a, b, c, d, e, f = (each.astype(np.float32)[:, None, None] for each in matrices.T)
    count = len(matrices)
    return (a * x + (b * y + c)).reshape(count, -1), (d * x + (e * y + f)).reshape(count, -1)


def _reflected(at: Floats, size: int) -> Floats:
    """Coordinates mirrored into 0..size-1, as often as it takes."""
    half, side = np.float32(0.5), np.float32(size)
    distance = np.abs(at + half)
    distance -= 2 * side * np.floor(distance * (half / side))
    inside: Floats = np.clip(side - np.abs(side - distance) - half, np.float32(0), side - 1)
    return inside


def _taps(at: Floats, size: int, fill: Fill) -> tuple[list[NDArray[np.int32]], Floats, Floats]:
    """The two pixels beside each coordinate, with the weights of the second and of the first."""
    floor = np.floor(at)
    second = at - floor
    first = np.float32(1) - second
    low = floor.astype(np.int32)
    high = low + 1
    if fill == "zero":
        first = first * ((low >= 0) & (low < size))
        second = second * ((high >= 0) & (high < size))
        low = np.clip(low, 0, size - 1)
    # Where a mirrored coordinate is the last pixel, the second has no weight.
    return [low, np.clip(high, 0, size - 1)], second, first
