# SPDX-License-Identifier: Apache-2.0
"""Canvases with garments (`python -m keras_models.compose_canvases`): a picture, and its boxes."""

from __future__ import annotations

import numpy as np

from keras_models.canvases.composition import GARMENTS, MOST_ITEMS, SIDE
from keras_models.datasets.core import DatasetError
from keras_models.datasets.made import Array, MadeData, check_shape
from keras_models.tasks.boxes import EDGES, NOBODY

KEYS = ("color", "boxes")  # of a split's file


def _check(boxes: Array, count: int) -> None:
    """Of each box its edges in shares of the side, then its class; NOBODY in rows without one."""
    check_shape("boxes", boxes, (count, MOST_ITEMS, len(EDGES) + 1))
    label, used = boxes[..., -1], boxes[boxes[..., -1] != NOBODY]
    if not np.isin(label, (NOBODY, *range(len(GARMENTS)))).all():
        raise DatasetError(
            f"boxes: got class {label.min():g} to {label.max():g}, expected {NOBODY} (none) to "
            f"{len(GARMENTS) - 1}"
        )
    sides = used[:, 2:4] - used[:, :2]
    if len(used) and not (used[:, :4].min() >= 0 and used[:, :4].max() <= 1 and sides.min() > 0):
        raise DatasetError(
            "boxes: got edges outside of 0 to 1, or left of right; expected left, top, right and "
            "bottom in shares of the side"
        )


CANVASES = MadeData(
    "canvases", "keras_models.compose_canvases", "pictures", KEYS[0], (SIDE, SIDE, 3), KEYS[1],
    _check, (*EDGES, *GARMENTS),
)  # fmt: skip
