# SPDX-License-Identifier: Apache-2.0
"""Boxes of a data set's pictures, as `keras_models.tasks.box_rows` has them."""

from __future__ import annotations

import numpy as np

from keras_models.datasets.core import DatasetError
from keras_models.datasets.made import Array
from keras_models.tasks.box_rows import EDGES, NOBODY


def check_boxes(boxes: Array, count: int, most: int, classes: int) -> None:
    """Refuses what are no boxes.

    Args:
      count: of pictures.
      most: rows of each.

    Raises:
      DatasetError: another shape, a class that is none, or edges in a wrong place.
    """
    shape = (count, most, len(EDGES) + 1)
    if boxes.shape != shape:
        raise DatasetError(
            f"boxes: got {list(boxes.shape)}, expected {list(shape)}; name the data set that these "
            "are of with --dataset"
        )
    label, used = boxes[..., -1], boxes[boxes[..., -1] != NOBODY]
    if not np.isin(label, (NOBODY, *range(classes))).all():
        raise DatasetError(
            f"boxes: got class {label.min():g} to {label.max():g}, expected {NOBODY} (none) to "
            f"{classes - 1}"
        )
    sides = used[:, 2:4] - used[:, :2]
    if len(used) and not (used[:, :4].min() >= 0 and used[:, :4].max() <= 1 and sides.min() > 0):
        raise DatasetError(
            "boxes: got edges outside of 0 to 1, or left of right; expected left, top, right and "
            "bottom in shares of the side"
        )
