# SPDX-License-Identifier: Apache-2.0
"""Reading image files: decode, scale the shorter side, crop the centre."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_models.datasets.core import DatasetError, Floats, Images, normalize
from tflm_vit.files import reading

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# MCUFormer: the shorter side is scaled to 256 for a 240 pixel crop.
RESIZE_RATIO = 256 / 240
DECODE_THREADS = min(8, os.cpu_count() or 1)


def fit_image(image: Any, size: int, channels: int) -> Images:
    """A PIL image as (size, size, channels) uint8: shorter side scaled, centre cropped.

    An image that already has that size is taken as it is. Any other is scaled so that its shorter
    side is size * 256/240 (bicubic) before the crop.
    """
    from PIL import Image

    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        short = max(size, round(size * RESIZE_RATIO))
        scale = short / min(image.size)
        width, height = (max(short, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.crop((left, top, left + size, top + size))
    return np.asarray(image, np.uint8).reshape(size, size, channels)


def read_image(path: str, size: int, channels: int) -> Images:
    """Decodes one file to (size, size, channels) uint8, see `fit_image`.

    Raises:
      DatasetError: the file is missing or is no image; the message names it.
    """
    from PIL import Image

    # Too many pixels are mostly a damaged size.
    with reading(path, "an image", DatasetError), Image.open(path) as file:
        file.load()
        return fit_image(file, size, channels)


def read_images(paths: Sequence[str], size: int, channels: int) -> Images:
    """Decodes files in parallel to (n, size, size, channels) uint8, in order."""
    if channels not in (1, 3):
        raise DatasetError(f"channels: got {channels}, expected 1 or 3 for image files")
    out = np.empty((len(paths), size, size, channels), np.uint8)

    def read(position: int) -> None:
        out[position] = read_image(paths[position], size, channels)

    if len(paths) < 4:
        for position in range(len(paths)):
            read(position)
        return out
    with ThreadPoolExecutor(DECODE_THREADS) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return out


def list_images(folder: str) -> list[str]:
    """All image files under a folder, sorted by path."""
    if not os.path.isdir(folder):
        raise DatasetError(f"{folder}: no such folder")
    found = [
        os.path.join(root, file)
        for root, _, files in os.walk(folder)
        for file in files
        if file.lower().endswith(EXTENSIONS)
    ]
    if not found:
        raise DatasetError(f"{folder}: no image files ({', '.join(EXTENSIONS)}) under it")
    return sorted(found)


def load_images(
    where: str | Sequence[str], count: int, size: int, channels: int = 3, seed: int = 0
) -> Floats:
    """The images of `load_pixels` as float32 in [-1, 1]."""
    return normalize(load_pixels(where, count, size, channels, seed))


def load_pixels(
    where: str | Sequence[str], count: int, size: int, channels: int = 3, seed: int = 0
) -> Images:
    """`count` images from files and from anywhere under folders, for calibration and measurements.

    Args:
      where: a folder, which is searched recursively, an image file, or several of them.
      count: how many; drawn without repetition with `seed`.
      size: side in pixels.
      channels: 1 or 3.
      seed: of the draw.

    Returns:
      uint8 (count, size, size, channels).

    Raises:
      DatasetError: no such file, fewer images than asked for, or an unreadable file, named.
    """
    named = [where] if isinstance(where, str) else list(where)
    found = [[path] if os.path.isfile(path) else list_images(path) for path in named]
    paths = [path for part in found for path in part]
    if not 0 < count <= len(paths):
        raise DatasetError(
            f"{','.join(named)}: {count} images asked for, expected 1 to {len(paths)}"
        )
    order = np.random.default_rng(seed).permutation(len(paths))[:count]
    return read_images([paths[i] for i in order], size, channels)
