# SPDX-License-Identifier: Apache-2.0
"""Where MCUFormer goes next in (rank ratio, patch size): planes through the nearest visited pairs.

One for the error, one for the share of sub-networks over the memory limit (Liang et al., NeurIPS
2023). Its released code adds the step instead of subtracting it, scores 1 minus a percentage of the
last batch, and loses the index of visited points; tests hold the opposite. Errors here are 0..1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.evolution.s3 import Step, steps_of


@dataclasses.dataclass(frozen=True)
class Point:
    """A visited (rank ratio, patch size): E-T error 0..1 and share of networks that fit 0..1."""

    ratio: float
    patch: float
    error: float
    legal: float


# The released steps: slopes of an error in percent per unit, for ratio and patch.
RATIO = Step(tau=0.10, gamma=0.05, low=0.40, high=0.95)
PATCH = Step(tau=0.20, gamma=4.0, low=16.0, high=32.0)
RATIO_LEGAL = Step(tau=0.2, gamma=0.05, low=0.40, high=0.95)
PATCH_LEGAL = Step(tau=2.0, gamma=4.0, low=16.0, high=32.0)
NEIGHBOURS = 5


@dataclasses.dataclass(frozen=True)
class Axis:
    """How rank ratio or patch size moves for the error, and for the share over the limit."""

    error: Step
    legal: Step


PUBLISHED = (Axis(RATIO, RATIO_LEGAL), Axis(PATCH, PATCH_LEGAL))


def plane(points: Sequence[Point], values: Sequence[float]) -> NDArray[np.float64]:
    """(slope by ratio, by patch) of the least-squares plane, the flattest if there are many."""
    centre = np.mean([(p.ratio, p.patch) for p in points], axis=0)
    x = np.array([(p.ratio, p.patch) for p in points]) - centre
    y = np.asarray(values) - np.mean(values)
    slopes: NDArray[np.float64] = np.linalg.lstsq(x, y, rcond=None)[0]
    return slopes


def nearest(
    points: Sequence[Point],
    at: Point,
    count: int = NEIGHBOURS,
    axes: tuple[Axis, Axis] = PUBLISHED,
) -> list[Point]:
    """The `count` visited points nearest to one of them, itself included, ranges scaled to one."""

    def scaled(difference: float, axis: Axis) -> float:
        return difference / ((axis.error.high - axis.error.low) or 1.0)

    def distance(p: Point) -> float:
        return math.hypot(scaled(p.ratio - at.ratio, axes[0]), scaled(p.patch - at.patch, axes[1]))

    return sorted(points, key=distance)[:count]


def next_point(
    points: Sequence[Point], at: Point, axes: tuple[Axis, Axis] = PUBLISHED
) -> tuple[float, float]:
    """The next (rank ratio, patch size): down the error, and down the share that does not fit.

    Args:
      axes: of ratio and patch size; the published steps are for 240 pixels. With others each of the
        two slopes is worth one step at most.

    Raises:
      ValueError: `at` is not among the visited points.
    """
    if at not in points:
        raise ValueError(f"next_point: got {at}, expected one of the {len(points)} visited points")
    close = nearest(points, at, axes=axes)
    by_error = plane(close, [p.error for p in close])
    by_legal = plane(close, [1.0 - p.legal for p in close])
    most = None if axes is PUBLISHED else 1
    new = []
    for i, (value, axis) in enumerate(zip((at.ratio, at.patch), axes, strict=True)):
        shift = _steps(by_error[i], axis.error, most) * axis.error.gamma
        shift += _steps(by_legal[i], axis.legal, most) * axis.legal.gamma
        new.append(round(min(axis.error.high, max(axis.error.low, value - shift)), 9))
    return new[0], new[1]


def _steps(w: float, step: Step, most: int | None) -> int:
    count = steps_of(w, step)
    return count if most is None else max(-most, min(most, count))
