# SPDX-License-Identifier: Apache-2.0
"""Operations on the values of pixels: planes (n, channels, height, width) float32, 0..255.

Every parameter is one number for each image, (n,). What they do is RandAugment's (Cubuk et al.,
NeurIPS 2020) as Keras' layers of the same names do it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
TOP = np.float32(255)
LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601
BINS = 256


def _each(values: NDArray[Any]) -> NDArray[Any]:
    return values[:, None, None, None]


def _clipped(images: NDArray[Any]) -> Floats:
    clipped: Floats = np.clip(images, np.float32(0), TOP, out=images)
    return clipped


def brightness(images: Floats, added: Floats) -> Floats:
    """Adds to every value."""
    return _clipped(images + _each(added))


def contrast(images: Floats, factor: Floats) -> Floats:
    """Spreads the values of a channel about their mean."""
    mean = images.mean(axis=(2, 3), keepdims=True)
    return _clipped((images - mean) * _each(factor) + mean)


def color_degeneration(images: Floats, share: Floats) -> Floats:
    """Mixes with grey: 0 leaves the image, 1 has no colour. Without three channels nothing."""
    if images.shape[1] != len(LUMA):
        return images
    red, green, blue = (np.float32(weight) * images[:, i] for i, weight in enumerate(LUMA))
    grey = (red + green + blue)[:, None]
    return _clipped(images + _each(share) * (grey - images))


def sharpness(images: Floats, factor: Floats) -> Floats:
    """0: smoothed by a 3x3 kernel, 1: the image, 2: as much sharper."""
    side, middle = np.float32(1 / 13), np.float32(5 / 13)
    smoothed = side * _sum_of_neighbours(images) + (middle - side) * images
    return _clipped(images + _each(np.float32(1) - factor) * (smoothed - images))


def _sum_of_neighbours(images: Floats) -> Floats:
    """Of the 3x3 pixels about each, zeros outside."""
    rows = images.copy()
    rows[:, :, 1:] += images[:, :, :-1]
    rows[:, :, :-1] += images[:, :, 1:]
    out = rows.copy()
    out[..., 1:] += rows[..., :-1]
    out[..., :-1] += rows[..., 1:]
    return out


def posterization(images: Floats, bits: NDArray[np.uint8]) -> Floats:
    """Keeps the leading bits, 1..8, of each value's whole part."""
    shift = _each(np.uint8(8) - bits)
    kept: Floats = ((images.astype(np.uint8) >> shift) << shift).astype(np.float32)
    return kept


def solarization(images: Floats, added: Floats, threshold: Floats) -> Floats:
    """Adds, then inverts what is not below the threshold."""
    moved = _clipped(images + _each(added))
    return np.where(moved < _each(threshold), moved, TOP - moved)


def auto_contrast(images: Floats) -> Floats:
    """Stretches each channel of an image to 0..255; a channel of one value stays."""
    low = images.min(axis=(2, 3), keepdims=True)
    spread = images.max(axis=(2, 3), keepdims=True) - low
    flat = spread == 0
    scale = TOP / np.where(flat, TOP, spread)
    return _clipped(images * scale - np.where(flat, np.float32(0), low * scale))


def equalization(images: Floats) -> Floats:
    """Makes the histogram of each channel of an image flat; a channel of one value stays.

    Keras' layer takes one histogram over all images of a call; here each image has its own, as in
    the paper.
    """
    count, channels, height, width = images.shape
    planes, pixels = count * channels, height * width
    values = images.reshape(planes, pixels).astype(np.int32)
    values += (np.arange(planes, dtype=np.int32) * BINS)[:, None]
    at = values.reshape(-1)
    histogram = np.bincount(at, minlength=planes * BINS).reshape(planes, BINS)
    total = histogram.cumsum(axis=1)
    least = np.where(total > 0, total, pixels).min(axis=1, keepdims=True)
    spread = pixels - least
    table = np.rint((total - least) * 255 / np.where(spread == 0, 1, spread))
    levels: Floats = np.clip(table, 0, 255).astype(np.float32)
    out = levels.reshape(-1).take(at).reshape(images.shape)
    flat = (spread == 0).reshape(count, channels)
    out[flat] = images[flat]
    return out
