# SPDX-License-Identifier: Apache-2.0
"""Evolution of a search space by numbers: errors, fitted tendencies, updated choices.

S3 (Chen et al., NeurIPS 2021) scores a space by its E-T error, half the mean error of random
sub-networks and half the mean error of the best of them, fits a line of that error against the
value of each dimension, and moves the dimension *against* the slope:

    D <- D - floor(w / tau) * gamma

MCUFormer (Liang et al., NeurIPS 2023) evolves (rank ratio, patch size), with planes fitted to the
nearest visited points: one for the error, one for the share of sub-networks over the memory limit.
Its released code adds the step instead of subtracting it, scores 1 minus a percentage of the last
batch, and loses the index of visited points; tests hold the opposite. Errors here are 0..1.

floor(w / tau) makes a step of the smallest negative slope and none of a positive one: here w / tau
is rounded towards zero, which treats both directions alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Measured:
    """Error of one evaluated sub-network, 0..1, with the values of its dimensions."""

    values: dict[str, float]
    error: float


def et_error(errors: Sequence[float], top: int) -> float:
    """E-T error: half the mean error, half the mean error of the `top` best.

    Raises:
      ValueError: no errors, an error that is not 0..1 (a percentage), or top < 1.
    """
    if not errors or not 1 <= top <= len(errors):
        raise ValueError(
            f"et_error: got {len(errors)} errors and top {top}, expected 1 <= top <= n"
        )
    if min(errors) < 0.0 or max(errors) > 1.0:
        raise ValueError(
            f"et_error: got errors from {min(errors):g} to {max(errors):g}, expected 0 to 1"
        )
    best = sorted(errors)[:top]
    return 0.5 * float(np.mean(errors)) + 0.5 * float(np.mean(best))


def slope(values: Sequence[float], errors: Sequence[float]) -> float:
    """Least-squares slope of a line; 0 where the values do not differ."""
    x, y = np.asarray(values, float), np.asarray(errors, float)
    spread = ((x - x.mean()) ** 2).sum()
    return float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread else 0.0


def dimension_errors(measured: Sequence[Measured], name: str, top: int) -> dict[float, float]:
    """E-T error of the sub-networks of each value of a dimension."""
    groups: dict[float, list[float]] = {}
    for each in measured:
        if name in each.values:
            groups.setdefault(each.values[name], []).append(each.error)
    return {v: et_error(errors, min(top, len(errors))) for v, errors in sorted(groups.items())}


def tendency(measured: Sequence[Measured], name: str, top: int) -> float:
    """Slope of the E-T error against a dimension's values."""
    found = dimension_errors(measured, name, top)
    return slope(list(found), list(found.values()))


@dataclasses.dataclass(frozen=True)
class Step:
    """How a dimension moves.

    Attributes:
      tau: slope that counts as one step.
      gamma: length of a step, in the dimension's unit.
      low, high: limits of its values.
    """

    tau: float
    gamma: float
    low: float
    high: float


def steps_of(w: float, step: Step) -> int:
    """w / tau towards zero: how many steps the slope is worth."""
    return math.trunc(w / step.tau)


def moved(choices: Sequence[float], w: float, step: Step) -> tuple[float, ...]:
    """All choices moved against the slope, within the limits; ascending, without repetition.

    A falling error (w < 0) moves a dimension up.
    """
    shift = -steps_of(w, step) * step.gamma
    new = {round(min(step.high, max(step.low, c + shift)), 9) for c in choices}
    return tuple(sorted(new))


# ---- MCUFormer's variant -----------------------------------------------------------------------


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
