# SPDX-License-Identifier: Apache-2.0
"""Reading image files: decode, scale the shorter side, crop the centre."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_models.datasets.core import DatasetError, Floats, Images, normalize
from tflm_vit.files import reading

Size = int | tuple[int, int]  # a side in pixels, or (height, width)
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# Pillow looks at the content, and starts another program for some kinds of it.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "PPM")
# MCUFormer: the shorter side is scaled to 256 for a 240 pixel crop.
RESIZE_RATIO = 256 / 240
_SIXTEEN_BITS = 65535
_STEP = _SIXTEEN_BITS // 255  # 257, exactly
_MOST_SCALED, _MOST_TIMES = 1 << 26, 16  # pixels of a scaled image; times those of the crop
DECODE_THREADS = min(8, os.cpu_count() or 1)


def eight_bits(image: Any, channels: int) -> Any:
    """A PIL image of any mode as one of bytes, grey for one channel, else red, green, blue.

    Samples of 16 bits are scaled by 255 / 65535 (PNG specification, section 12.5), where Pillow's
    own `convert` clips them. Transparency is left out: a pixel is the color that the file gives it.

    Raises:
      DatasetError: real numbers, or integers outside 0..65535, whose white is not known.
    """
    from PIL import Image

    if image.mode == "F":
        raise DatasetError(f"got mode {image.mode}, pixels of real numbers; expected integers")
    if image.mode.startswith("I"):
        wide = np.asarray(image, np.int32)
        if wide.min() < 0 or wide.max() > _SIXTEEN_BITS:
            raise DatasetError(
                f"got mode {image.mode} with pixels {wide.min()} to {wide.max()}, expected 0 to "
                f"{_SIXTEEN_BITS}"
            )
        image = Image.fromarray(((wide + np.int32(_STEP // 2)) // _STEP).astype(np.uint8))
    if image.mode in ("La", "RGBa"):  # colors that are multiplied by their opacity
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert("L" if channels == 1 else "RGB")


def sides(size: Size) -> tuple[int, int]:
    """(height, width)."""
    return (size, size) if isinstance(size, int) else size


def fit_image(image: Any, size: Size, channels: int) -> Images:
    """A PIL image as uint8 (height, width, channels): scaled to cover it, centre cropped.

    An image that already has that size is taken as it is. Any other is scaled so that its shorter
    side is size * 256/240 (bicubic) before the crop.

    Args:
      image: of any mode, see `eight_bits`.
      size: side in pixels, or (height, width).
      channels: 1 or 3.

    Raises:
      DatasetError: a strip so long that, scaled, it has more pixels than memory should hold; and as
        `eight_bits`.
    """
    from PIL import Image

    image = eight_bits(image, channels)
    height, width = sides(size)
    if image.size != (width, height):
        least = [max(side, round(side * RESIZE_RATIO)) for side in (width, height)]
        scale = max(low / side for low, side in zip(least, image.size, strict=True))
        scaled = [
            max(low, round(side * scale)) for low, side in zip(least, image.size, strict=True)
        ]
        if scaled[0] * scaled[1] > max(_MOST_SCALED, _MOST_TIMES * height * width):
            raise DatasetError(
                f"got {image.size[0]} x {image.size[1]} pixels, which would be {scaled[0]} x "
                f"{scaled[1]} scaled for a crop of {width} x {height}: cut it first"
            )
        image = image.resize(tuple(scaled), Image.Resampling.BICUBIC)
        left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
        image = image.crop((left, top, left + width, top + height))
    return np.asarray(image, np.uint8).reshape(height, width, channels)


@contextlib.contextmanager
def opened_image(path: str | os.PathLike[str], error: type[Exception]) -> Iterator[Any]:
    """The PIL image of a file, to be decoded in the block.

    Raises:
      error: the file is no image, or has over 89 million pixels (Pillow's limit), which is mostly a
        damaged size; the message begins with its name. OSError: it cannot be read.
    """
    from PIL import Image

    with reading(path, "an image", error), warnings.catch_warnings():
        # From there to twice as many Pillow only warns.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as image:
            yield image


def read_image(path: str, size: Size, channels: int) -> Images:
    """Decodes one file to uint8 (height, width, channels), see `fit_image`.

    Raises:
      DatasetError: the file is missing or is no image; the message names it.
    """
    with opened_image(path, DatasetError) as image:
        image.load()
        return fit_image(image, size, channels)


def read_images(paths: Sequence[str], size: Size, channels: int) -> Images:
    """Decodes files in parallel to uint8 (n, height, width, channels), in order."""
    if channels not in (1, 3):
        raise DatasetError(f"channels: got {channels}, expected 1 or 3 for image files")
    height, width = sides(size)
    out = np.empty((len(paths), height, width, channels), np.uint8)

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
    where: str | Sequence[str],
    count: int,
    size: Size,
    channels: int = 3,
    seed: int = 0,
    fewer: bool = False,
) -> Images:
    """`count` images from files and from anywhere under folders, for calibration and measurements.

    Args:
      where: a folder, which is searched recursively, an image file, or several of them.
      count: how many; drawn without repetition with `seed`.
      size: side in pixels, or (height, width).
      channels: 1 or 3.
      seed: of the draw.
      fewer: all of them where there are fewer.

    Returns:
      uint8 (count, height, width, channels).

    Raises:
      DatasetError: no such file, fewer images than asked for, or an unreadable file, named.
    """
    named = [where] if isinstance(where, str) else list(where)
    found = [[path] if os.path.isfile(path) else list_images(path) for path in named]
    paths = [path for part in found for path in part]
    if not 0 < count <= len(paths) and not (fewer and paths):
        raise DatasetError(
            f"{','.join(named)}: {count} images asked for, expected 1 to {len(paths)}"
        )
    order = np.random.default_rng(seed).permutation(len(paths))[:count]
    return read_images([paths[i] for i in order], size, channels)
