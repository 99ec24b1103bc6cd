# SPDX-License-Identifier: Apache-2.0
"""Image files -> the int8 rows that a board expects."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converter.contract import (
    Contract,
    Stated,
    chosen,
    input_range,
    output_shape,
    quantized,
    stated_by,
)
from converter.tflite import parse, read_model
from firmware.errors import FirmwareError
from firmware.model_info import ModelInfo
from keras_models.datasets.images import fit_image, opened_image
from tflm_vit.files import naming, reading

_MOST_IMAGES = 1_000_000  # of an array: days of a serial line
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm")


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
        # As the data sets of training and evaluation are read: the same file, the same pixels.
        with opened_image(self.path, FirmwareError) as image:
            return fit_image(image, (height, width), channels)


@dataclasses.dataclass(frozen=True)
class InputSteps:
    """How pixels become the steps of a model's int8 input."""

    contract: Contract
    scale: float
    zero_point: int

    @classmethod
    def of(cls, model: ModelInfo, file: str, given: Stated) -> InputSteps:
        """Of a model on a board.

        Args:
          model: what the board says.
          file: path of the `.tflite` that it was made from; its metadata counts; "" for none.
          given: by flags.

        Raises:
          ContractError: neither says how, and the input takes other values than would be assumed.
          FileError: about the file, whose name begins it. OSError: it cannot be read.
        """
        scale, zero_point = model.input_scale, model.input_zero_point
        got = input_range(scale, zero_point, -128, 127)
        with naming(file) if file else contextlib.nullcontext():
            parsed = parse(read_model(file)) if file else None
            stated = stated_by(parsed) if parsed else Stated()
            shape = output_shape(parsed) if parsed else (model.classes,)
            contract = chosen(given, stated, got, model.image_channels, shape)
        return cls(contract, scale, zero_point)

    def steps(self, pixels: NDArray[np.uint8] | NDArray[np.int8]) -> NDArray[np.int8]:
        """uint8 pixels -> the model's int8 input; int8 passes unchanged."""
        if pixels.dtype == np.int8:
            return pixels.astype(np.int8)
        real = self.contract.real(pixels.astype(np.uint8))
        found: NDArray[np.int8] = quantized(real, self.scale, self.zero_point)
        return found


def _from_array(path: Path, shape: tuple[int, int, int]) -> list[ImageFile]:
    with reading(path, "a .npy file", FirmwareError):
        # Mapped: a header that promises more than the file holds allocates nothing.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):  # np.load opens archives too, whatever their name
            raise FirmwareError(f"{path}: got an archive of arrays, expected a .npy file")
    if array.dtype not in (np.int8, np.uint8) or array.shape[1:] != shape:
        raise FirmwareError(
            f"{path} holds {array.dtype}{list(array.shape)}, "
            f"expected int8 or uint8 [N, {', '.join(map(str, shape))}]"
        )
    if not len(array) or len(array) > _MOST_IMAGES:
        raise FirmwareError(f"{path} holds {len(array)} images, expected 1 to {_MOST_IMAGES}")
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
