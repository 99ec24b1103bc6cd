# SPDX-License-Identifier: Apache-2.0
"""Image files -> the int8 rows that a board expects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firmware.errors import FirmwareError
from tflm_vit.files import reading

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm")


class InputQuantization(Protocol):
    """What `quantize` needs to know about a model."""

    @property
    def input_scale(self) -> float:
        """Real value of one step."""

    @property
    def input_zero_point(self) -> int:
        """Quantized value of 0.0."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image to classify: read from `path`, or already in memory."""

    name: str
    path: Path | None
    array: NDArray[np.uint8] | NDArray[np.int8] | None
    shape: tuple[int, int, int]

    def pixels(self) -> NDArray[np.uint8] | NDArray[np.int8]:
        """uint8 pixels (or int8, already quantized) of the model's size.

        Raises:
          FirmwareError: the file is not an image.
        """
        if self.array is not None:
            return self.array
        assert self.path is not None
        height, width, channels = self.shape
        with reading(self.path, "an image", FirmwareError), Image.open(self.path) as image:
            converted = image.convert("L" if channels == 1 else "RGB")
            resized = converted.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized, np.uint8).reshape(self.shape)


def quantize(
    pixels: NDArray[np.uint8] | NDArray[np.int8], model: InputQuantization
) -> NDArray[np.int8]:
    """uint8 pixels -> the model's int8 input; int8 passes unchanged.

    Pixels become real values u / 127.5 - 1 (keras_models.datasets), then steps of the input scale,
    rounded to nearest even.
    """
    if pixels.dtype == np.int8:
        return pixels.astype(np.int8)
    real = pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    steps = np.rint(real / np.float32(model.input_scale)) + model.input_zero_point
    quantized: NDArray[np.int8] = np.clip(steps, -128, 127).astype(np.int8)
    return quantized


def _from_array(path: Path, shape: tuple[int, int, int]) -> list[ImageFile]:
    with reading(path, "a .npy file", FirmwareError):
        # Mapped: a header that promises more than the file holds allocates nothing.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype not in (np.int8, np.uint8) or array.shape[1:] != shape:
        raise FirmwareError(
            f"{path} holds {array.dtype}{list(array.shape)}, "
            f"expected int8 or uint8 [N, {', '.join(map(str, shape))}]"
        )
    return [ImageFile(f"{path.name}[{i}]", None, image, shape) for i, image in enumerate(array)]


def find_images(paths: Sequence[str], shape: tuple[int, int, int]) -> list[ImageFile]:
    """Images named on a command line: files, folders (recursively), or .npy arrays.

    Args:
      paths: what the user gave.
      shape: height, width, channels of the model.

    Raises:
      FirmwareError: a path does not exist, or holds no image.
    """
    found: list[ImageFile] = []
    for text in paths:
        path = Path(text)
        if not path.exists():
            raise FirmwareError(f"no such image: {path}")
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
            if not files:
                raise FirmwareError(f"{path} holds no image ({', '.join(_SUFFIXES)})")
            found += [ImageFile(str(p.relative_to(path)), p, None, shape) for p in files]
        elif path.suffix == ".npy":
            found += _from_array(path, shape)
        else:
            found.append(ImageFile(path.name, path, None, shape))
    return found
