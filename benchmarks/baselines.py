# SPDX-License-Identifier: Apache-2.0
"""Rank correlations with the accuracy after training alone: of the supernet's, and of what costs
nothing.

A supernet is worth its training only where it ranks networks better than their size does. Beside
the rank correlation of inherited accuracies stand those of parameters, multiply-accumulates and
tokens, each with an interval.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from keras_models.staged import Architecture

INHERITED, ALONE = "inherited", "alone"
BASELINES = ("params", "macs", "tokens")
RESAMPLED = 2000
SEED = 7

Row = dict[str, Any]


def sizes(arch: Architecture) -> Row:
    """What is known of a network without training anything."""
    return {"params": arch.params, "macs": arch.macs, "tokens": arch.tokens}


def correlation(rows: list[Row], by: str = INHERITED) -> Row:
    """Spearman's, of at least three networks that differ, between `by` and training alone.

    Returns:
      "networks", "spearman", "p_value", and "interval", the middle 95 % of 2,000 draws of as many
      networks with repetition; None where there is none.
    """
    figures: Row = {"networks": len(rows), "spearman": None, "p_value": None, "interval": None}
    if len(rows) < 3:
        return figures
    values = np.asarray([[row[by], row[ALONE]] for row in rows], float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks that are alike, which have no ranks
        found = spearmanr(*values.T)
        if np.isnan(found.statistic):
            return figures
        rng = np.random.default_rng(SEED)
        drawn = rng.integers(len(rows), size=(RESAMPLED, len(rows)))
        each = [spearmanr(*values[places].T).statistic for places in drawn]
    low, high = np.nanpercentile(each, [2.5, 97.5])
    return {
        **figures,
        "spearman": float(found.statistic),
        "p_value": float(found.pvalue),
        "interval": [float(low), float(high)],
    }


def correlations(rows: list[Row]) -> Row:
    """Of inherited accuracy, and in "baselines" of each size."""
    return {**correlation(rows), "baselines": {by: correlation(rows, by) for by in BASELINES}}


def text(name: str, found: Row) -> str:
    """For example "params 0.10 (-0.43..0.73)"."""
    if found["spearman"] is None:
        return f"{name} -"
    low, high = found["interval"]
    return f"{name} {found['spearman']:.2f} ({low:.2f}..{high:.2f})"


def line(figures: Row) -> str:
    """For example "inherited 0.84 (0.55..0.95); params 0.10 (...), macs ..."."""
    beside = ", ".join(text(name, found) for name, found in figures["baselines"].items())
    return f"{text(INHERITED, figures)}; {beside}"
