# SPDX-License-Identifier: Apache-2.0
"""Parties of `benchmarks.searched_or_random`: how much better one is, what a study will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

HAND, RANDOM, SEARCHED = "hand-made", "random", "searched"
PARTIES = (HAND, RANDOM, SEARCHED)

# Images a second of one processor, measured before on 4 M multiply-accumulates, and seconds of a
# network's compilation.
TRAINED, EVALUATED, COMPILED = 1300, 3000, 20
CALIBRATION = 512


def gains(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Points of test accuracy that the searched networks are better, seed by seed."""
    found = {(row["party"], row["seed"]): 100 * row["test_accuracy"] for row in rows}
    seeds = [s for party, s in found if party == SEARCHED]
    result: dict[str, Any] = {}
    for other in (HAND, RANDOM):
        each = [found[SEARCHED, s] - found[other, s] for s in seeds if (other, s) in found]
        if not each:
            continue
        interval = None
        if len(each) > 1:
            half = float(stats.t.ppf(0.975, len(each) - 1) * stats.sem(each))
            interval = [float(np.mean(each)) - half, float(np.mean(each)) + half]
        result[f"over {other}"] = {
            "points": each,
            "mean": float(np.mean(each)),
            "interval": interval,
            "better_in_each": all(point > 0 for point in each),
        }
    return result


def forecast(
    searches: int, seeds: int, trials: int, count: int, images: int, epochs: int,
    candidate_epochs: int = 0,
) -> float:  # fmt: skip
    """Processor hours, the supernet's training apart.

    Args:
      candidate_epochs: of a search's or draw's candidates, all together.
    """
    evaluated = 2 * searches * trials * (CALIBRATION + count) / EVALUATED
    tried = 2 * searches * candidate_epochs * images / TRAINED
    trained = 3 * seeds * (COMPILED + epochs * images / TRAINED)
    return (COMPILED + evaluated + tried + trained) / 3600
