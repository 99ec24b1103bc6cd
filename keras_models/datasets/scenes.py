# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes (`python -m keras_models.render_scenes`): a picture, and for each of its pixels
the depth in metres or a class."""

from __future__ import annotations

import numpy as np

from keras_models.datasets.core import DatasetError
from keras_models.datasets.made import Array, MadeData, check_labels, check_shape
from keras_models.scenes.world import CLASSES, SIDE

DEPTH, LABELS = "scene_depth", "scene_labels"  # names of data sets
KEYS = ("color", "depth", "labels")  # of a split's file
_NEAREST_M = 0.1  # no picture has anything nearer
_MAP = (SIDE, SIDE)


def _check_depth(depth: Array, count: int) -> None:
    check_shape("depth", depth, (count, *_MAP))
    low, high = float(depth.min()), float(depth.max())
    if not (low >= _NEAREST_M and np.isfinite(high)):
        raise DatasetError(f"depth: got {low:g} to {high:g} m, expected {_NEAREST_M} m or more")


def _check_classes(labels: Array, count: int) -> None:
    check_labels(labels, count, len(CLASSES), _MAP)


# Targets are metres, float16 (n, side, side), or classes of `CLASSES`, uint8 (n, side, side).
SCENES = tuple(
    MadeData(name, "keras_models.render_scenes", "pictures", KEYS[0], (SIDE, SIDE, 3), key, check,
             names)
    for name, key, check, names in (
        (DEPTH, KEYS[1], _check_depth, ("depth",)),
        (LABELS, KEYS[2], _check_classes, CLASSES),
    )
)  # fmt: skip
