# SPDX-License-Identifier: Apache-2.0
"""Figures of merit of a classifier, from its logits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

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
    """Scores logits ``[n, classes]`` against labels ``[n]``.

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


def sqnr_db(reference: Logits, got: Logits) -> float:
    """Signal to quantization noise ratio, 10 log10(sum r^2 / sum (r - g)^2); inf if equal."""
    r, g = reference.astype(np.float64), got.astype(np.float64)
    noise = float(((r - g) ** 2).sum())
    return math.inf if noise == 0 else 10 * math.log10(float((r**2).sum()) / noise)
