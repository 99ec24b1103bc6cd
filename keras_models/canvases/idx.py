# SPDX-License-Identifier: Apache-2.0
"""Reads the IDX files in which MNIST and its relatives come."""

from __future__ import annotations

import gzip
import os
import zlib

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets.core import DatasetError
from tflm_vit.files import reading

_BYTES = 0x08  # the type of the only files that are read
_SIDE = 28
_MOST_BYTES = 1 << 28  # MNIST has 47 million
_NAMES = {"train": "train", "test": "t10k"}
_REMEDY = "install Debian's dataset-fashion-mnist, or name the folder of such files with --items"


def _array(path: str, dimensions: int) -> NDArray[np.uint8]:
    if not os.path.exists(path):
        raise DatasetError(f"{path}: no such file; {_REMEDY}")
    with reading(path, "an IDX file", DatasetError):
        try:
            with gzip.open(path) as file:
                content = file.read(_MOST_BYTES + 1)  # a small file may unpack to anything
        except (EOFError, zlib.error) as error:
            raise DatasetError(f"damaged: {error}") from error
        if len(content) > _MOST_BYTES:
            raise DatasetError(f"unpacks to more than {_MOST_BYTES} bytes")
        if content[:4] != bytes((0, 0, _BYTES, dimensions)):
            raise DatasetError(
                f"got magic number {content[:4].hex()}, expected 000008{dimensions:02x}"
            )
        start = 4 + 4 * dimensions
        shape = np.frombuffer(content[4:start], ">u4").astype(np.int64)
        values = np.frombuffer(content, np.uint8, offset=start)
        if len(values) != int(np.prod(shape)):
            raise DatasetError(f"got {len(values)} bytes, expected {'x'.join(map(str, shape))}")
        return values.reshape(shape)


def read_items(folder: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (n, 28, 28) and classes (n,) of the split "train" or "test".

    Raises:
      DatasetError: a file is missing or is none.
    """
    images, labels = (
        _array(os.path.join(folder, f"{_NAMES[split]}-{what}-ubyte.gz"), dimensions)
        for what, dimensions in (("images-idx3", 3), ("labels-idx1", 1))
    )
    if not len(images) or not len(labels):
        raise DatasetError(
            f"{folder}: got {len(images)} pictures and {len(labels)} classes of the {split} split, "
            f"expected at least one; {_REMEDY}"
        )
    if len(images) != len(labels) or images.shape[1:] != (_SIDE, _SIDE) or labels.max() > 9:
        raise DatasetError(
            f"{folder}: got pictures {list(images.shape)} and {len(labels)} classes up to "
            f"{labels.max()}, expected as many of {_SIDE}x{_SIDE} in ten classes"
        )
    return images, labels
