# SPDX-License-Identifier: Apache-2.0
"""Average precision of boxes: the area below precision over recall, as PASCAL VOC has it since
2010, of boxes that share half of their union with a true one."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

HALF = 0.5
Reals = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SaidBox:
    """A box that a detector says: of which picture, with what score; edges in shares of it."""

    picture: int
    score: float
    edges: Reals


def overlap(one: Reals, others: Reals) -> Reals:
    """Intersection over union of a box (4,) with others (n, 4)."""
    sides = np.maximum(np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2]), 0.0)
    both = sides[:, 0] * sides[:, 1]
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    found: Reals = both / (areas + (one[2] - one[0]) * (one[3] - one[1]) - both)
    return found


def average_precision(found: list[SaidBox], true: dict[int, Reals]) -> float:
    """Of the boxes of one class.

    Args:
      found: in any order; of equal scores the earlier counts first.
      true: boxes (n, 4) by picture; each is found once, by the first box that overlaps it most.

    Returns:
      0..1; nan where there is no true box.
    """
    total = sum(len(boxes) for boxes in true.values())
    if not total:
        return float("nan")
    taken = {picture: np.zeros(len(boxes), bool) for picture, boxes in true.items()}
    right = np.zeros(len(found))
    for place, box in enumerate(sorted(found, key=lambda box: -box.score)):
        others = true.get(box.picture)
        if others is None or not len(others):
            continue
        shares = overlap(box.edges, others)
        best = int(shares.argmax())
        if shares[best] >= HALF and not taken[box.picture][best]:
            taken[box.picture][best] = True
            right[place] = 1.0
    return _area(np.cumsum(right), total)


def _area(right: Reals, total: int) -> float:
    """Below the curve of the best precision at each recall or a greater one."""
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    recall = right / total
    return float((np.diff(recall, prepend=0.0) * best).sum())
