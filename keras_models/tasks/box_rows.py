# SPDX-License-Identifier: Apache-2.0
"""Boxes as data sets have them: of each picture so many rows, used and unused ones.

A row is left, top, right and bottom in shares of the picture's sides, then the class. Unused rows
have the class NOBODY.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EDGES = ("left", "top", "right", "bottom")
NOBODY = -1

Edges = tuple[int, int, int, int]


def around(mask: NDArray[np.bool_]) -> Edges:
    """Edges in pixels of the least box that holds all true pixels (h, w), of which there is one."""
    inside = np.argwhere(mask)
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
    return int(left), int(top), int(right), int(bottom)


def rows_of(things: Sequence[tuple[Edges, int]], side: int, most: int) -> NDArray[np.float32]:
    """Rows (most, 5) of at most so many things of a picture.

    Args:
      things: edges in pixels, and class.
      side: of the picture, in pixels.
    """
    rows = np.zeros((most, len(EDGES) + 1), np.float32)
    rows[:, -1] = NOBODY
    for row, (edges, label) in zip(rows, things, strict=False):
        row[:] = (*(n / side for n in edges), label)
    return rows
