# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes (`python -m keras_models.render_scenes`): a picture, and for each of its pixels
the depth in metres or a class."""

from __future__ import annotations

import os

import numpy as np

from keras_models.datasets.core import ArraySource, Dataset, DatasetError, Split
from keras_models.scenes.world import CLASSES, SIDE
from tflm_vit.files import reading

SPLITS = ("train", "validation", "test")
DEPTH, LABELS = "scene_depth", "scene_labels"  # names of data sets
SCENES = (DEPTH, LABELS)
_NEAREST_M = 0.1  # no picture has anything nearer


def split_file(folder: str, split: str) -> str:
    """Where the pictures of a split are."""
    return os.path.join(folder, f"{split}.npz")


def _source(path: str, key: str) -> ArraySource:
    with reading(path, "rendered scenes", DatasetError), np.load(path) as file:
        images, targets = file["color"], file[key]
        shape = (len(images), SIDE, SIDE)
        if images.shape != (*shape, 3) or images.dtype != np.uint8 or targets.shape != shape:
            raise DatasetError(
                f"got pictures {list(images.shape)} and {key} {list(targets.shape)}, expected "
                f"{[*shape, 3]} of bytes and {list(shape)}"
            )
        low, high = float(targets.min()), float(targets.max())
        if key == "labels" and not (targets.dtype == np.uint8 and high < len(CLASSES)):
            raise DatasetError(f"labels: got {low:g} to {high:g}, expected 0 to {len(CLASSES) - 1}")
        if key == "depth" and not (low >= _NEAREST_M and np.isfinite(high)):
            raise DatasetError(f"depth: got {low:g} to {high:g} m, expected {_NEAREST_M} m or more")
        return ArraySource(images, targets)


def load_scenes(name: str, data_dir: str, image_size: int, channels: int) -> Dataset:
    """A data set of rendered scenes.

    Args:
      name: "scene_depth": targets are metres, float16 (n, side, side); "scene_labels": classes of
        `CLASSES`, uint8 (n, side, side).

    Raises:
      DatasetError: no folder, an unreadable file, or another size of picture.
    """
    if not data_dir:
        raise DatasetError(
            f"--dataset={name} needs --data_dir=FOLDER; python -m keras_models.render_scenes "
            "--out=FOLDER makes one"
        )
    if (image_size, channels) != (SIDE, 3):
        raise DatasetError(
            f"--dataset={name} has pictures of {SIDE} pixels and 3 channels, the network takes "
            f"{image_size} and {channels}: take a network for {SIDE} and 3"
        )
    key = "depth" if name == DEPTH else "labels"
    splits = []
    for split in SPLITS:
        source = _source(split_file(data_dir, split), key)
        splits.append(Split(split, source, np.arange(len(source))))
    names = CLASSES if name == LABELS else ("depth",)
    return Dataset(name, names, SIDE, 3, *splits)
