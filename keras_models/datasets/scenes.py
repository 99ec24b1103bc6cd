# SPDX-License-Identifier: Apache-2.0
"""Rendered scenes (`python -m keras_models.render_scenes`): a picture, and for each of its pixels
the depth in metres or a class, or the boxes of its objects."""

from __future__ import annotations

import numpy as np

from keras_models.datasets.boxes import check_boxes
from keras_models.datasets.core import DatasetError
from keras_models.datasets.made import Array, MadeData, check_labels, check_shape
from keras_models.scenes.world import CLASSES, KINDS, MOST_OBJECTS, SIDE, Picture
from keras_models.tasks.box_rows import EDGES

DEPTH, LABELS, BOXES = "scene_depth", "scene_labels", "scene_boxes"  # names of data sets
KEYS = Picture._fields  # of a split's file
_NEAREST_M = 0.1  # no picture has anything nearer
_MAP = (SIDE, SIDE)


def _check_depth(depth: Array, count: int) -> None:
    check_shape("depth", depth, (count, *_MAP))
    low, high = float(depth.min()), float(depth.max())
    if not (low >= _NEAREST_M and np.isfinite(high)):
        raise DatasetError(f"depth: got {low:g} to {high:g} m, expected {_NEAREST_M} m or more")


def _check_classes(labels: Array, count: int) -> None:
    check_labels(labels, count, len(CLASSES), _MAP)


def _check_boxes(boxes: Array, count: int) -> None:
    check_boxes(boxes, count, MOST_OBJECTS, len(KINDS))


# Targets are metres, classes or boxes, as `Picture` has them.
SCENES = tuple(
    MadeData(name, "keras_models.render_scenes", "pictures", KEYS[0], (SIDE, SIDE, 3), key, check,
             names)
    for name, key, check, names in (
        (DEPTH, KEYS[1], _check_depth, ("depth",)),
        (LABELS, KEYS[2], _check_classes, CLASSES),
        (BOXES, KEYS[3], _check_boxes, (*EDGES, *KINDS)),
    )
)  # fmt: skip
