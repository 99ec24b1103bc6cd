# SPDX-License-Identifier: Apache-2.0
"""How often a classifier is right, from its logits."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.tasks.scores import Cell, percent

Logits = NDArray[np.generic]
Labels = NDArray[np.integer]

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclasses.dataclass(frozen=True)
class Interval:
    """A confidence interval of a fraction, 0..1."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """How often a classifier is right.

    Attributes:
      images: number of images.
      top1, top5: fraction of images whose label is the first, among the first five.
      top1_interval: 95 % Wilson interval of ``top1``.
      confusion: int64 ``[classes, classes]``; rows are labels, columns predictions.
    """

    images: int
    top1: float
    top5: float
    top1_interval: Interval
    confusion: NDArray[np.int64]

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        return self.top1

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Columns of a table."""
        interval = f"{percent(self.top1_interval.low)}..{percent(self.top1_interval.high)}"
        return (
            Cell("top-1 %", percent(self.top1), 7),
            Cell("95 % interval", interval, 15),
            Cell("top-5 %", percent(self.top5), 7),
        )

    def tree(self) -> dict[str, Any]:
        """For a report as JSON; fractions are 0..1."""
        return {
            "images": self.images,
            "top1": self.top1,
            "top1_interval_95": [self.top1_interval.low, self.top1_interval.high],
            "top5": self.top5,
            "confusion": self.confusion.tolist(),
        }


def predictions(logits: Logits) -> NDArray[np.int64]:
    """Class of each row; of equal logits the lowest index, as a firmware's arg max takes it."""
    best: NDArray[np.int64] = np.argmax(logits, axis=1).astype(np.int64)
    return best


def wilson_interval(successes: int, trials: int) -> Interval:
    """95 % confidence interval of a fraction (Wilson 1927)."""
    if trials == 0:
        return Interval(0.0, 1.0)
    p, z = successes / trials, _Z_95
    centre = p + z * z / (2 * trials)
    spread = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def classification(logits: Logits, labels: Labels) -> Classification:
    """TaskScores logits ``[n, classes]`` against labels ``[n]``.

    Raises:
      ValueError: numbers differ, or a label has no logit.
    """
    if len(logits) != len(labels):
        raise ValueError(f"labels: got {len(labels)}, expected {len(logits)}")
    classes = logits.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels: got {labels.min()}..{labels.max()}, the model has {classes} classes"
        )
    order = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")
    hits = order == np.asarray(labels)[:, None]
    right = int(hits[:, :1].sum())
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, order[:, 0]), 1)
    count = max(1, len(labels))
    return Classification(
        len(labels),
        right / count,
        int(hits[:, :5].sum()) / count,
        wilson_interval(right, len(labels)),
        confusion,
    )


def same_class(reference: Logits, got: Logits) -> float:
    """Share of images of which both say the same class."""
    return float((predictions(reference) == predictions(got)).mean())
