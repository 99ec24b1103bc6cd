# SPDX-License-Identifier: Apache-2.0
"""Evolution of a search space by numbers: errors, fitted tendencies, updated choices.

S3 (Chen et al., NeurIPS 2021) scores a space by its E-T error, half the mean error of random
sub-networks and half the mean error of the best of them, fits a line of that error against the
value of each dimension, and moves the dimension *against* the slope:

    D <- D - floor(w / tau) * gamma

floor(w / tau) makes a step of the smallest negative slope and none of a positive one: here w / tau
is rounded towards zero, which treats both directions alike. Errors are 0..1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


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
