# SPDX-License-Identifier: Apache-2.0
"""Canvases with garments (`python -m keras_models.compose_canvases`): a picture, and its boxes."""

from __future__ import annotations

from keras_models.canvases.composition import GARMENTS, MOST_ITEMS, SIDE
from keras_models.datasets.boxes import check_boxes
from keras_models.datasets.made import Array, MadeData
from keras_models.tasks.box_rows import EDGES

KEYS = ("color", "boxes")  # of a split's file


def _check(boxes: Array, count: int) -> None:
    check_boxes(boxes, count, MOST_ITEMS, len(GARMENTS))


CANVASES = MadeData(
    "canvases", "keras_models.compose_canvases", "pictures", KEYS[0], (SIDE, SIDE, 3), KEYS[1],
    _check, (*EDGES, *GARMENTS),
)  # fmt: skip
