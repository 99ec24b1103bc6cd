# SPDX-License-Identifier: Apache-2.0
"""Figures of one worker against two."""

import numpy as np
import pytest

from benchmarks.baselines import correlation, correlations, line
from benchmarks.search_record import _fronts
from benchmarks.search_workers import Run, compare, hypervolume, pareto


def test_pareto_and_hypervolume():
    points = [(2.0, 0.5), (1.0, 0.4), (3.0, 0.5), (4.0, 0.9), (1.0, 0.3), (2.5, 0.2)]
    assert pareto(points) == [(1.0, 0.4), (2.0, 0.5), (4.0, 0.9)]
    # 0.4 from 1 to 2, 0.5 from 2 to 4, 0.9 from 4 to 5, of 5 x 1.
    assert hypervolume(points, 5.0) == pytest.approx((0.4 + 2 * 0.5 + 0.9) / 5)
    assert hypervolume(points, 3.0) == pytest.approx((0.4 + 0.5) / 3)
    assert hypervolume([(6.0, 1.0)], 5.0) == 0.0


def run_of(seed, workers, seconds, front):
    return Run(seed, workers, seconds, seconds - 1, 10, 2, front)


def test_two_workers_are_compared_with_the_noise():
    better = [(1.0, 0.8), (2.0, 0.9)]
    runs = [
        run_of(0, 1, 10.0, [(1.0, 0.8), (2.0, 0.85)]),
        run_of(0, 2, 6.0, better),
        run_of(1, 1, 12.0, [(1.0, 0.7), (2.0, 0.9)]),
        run_of(1, 2, 6.0, [(1.0, 0.7)]),
    ]
    figures = compare(runs)
    first, second = figures["seeds"]
    assert figures["latency_limit_ms"] == 2.0
    assert first["union_front"] == 2
    assert first["of_union_front"] == [1, 2]
    assert second["of_union_front"] == [2, 1]
    assert first["hypervolume"] == pytest.approx([0.4, 0.4])
    assert figures["time_ratio_mean"] == pytest.approx((0.6 + 0.5) / 2)
    assert figures["noise_between_seeds"] == pytest.approx(0.05 / 2**0.5)
    assert figures["within_noise"]
    worse = [run_of(s, 2, 6.0, [(1.9, 0.1)]) for s in (0, 1)]
    assert not compare([runs[0], runs[2], *worse])["within_noise"]
    assert compare(runs[:2])["noise_between_seeds"] is None


def test_fronts_of_two_searches_are_compared():
    def rows(points):
        return [{"latency_ms": latency, "accuracy": accuracy} for latency, accuracy in points]

    found = _fronts(rows([(1.0, 0.4), (3.0, 0.9)]), rows([(2.0, 0.5), (4.0, 0.8)]))
    assert found["latency_limit_ms"] == 4.0
    # 0.4 from 1 to 3 and 0.9 from 3 to 4, of 4; 0.5 from 2 to 4, and nothing from 4 on.
    assert found["hypervolume"] == pytest.approx([(0.4 * 2 + 0.9) / 4, 0.5 * 2 / 4])
    assert (found["union_front"], found["of_union_front"]) == (3, [2, 1])


def test_rank_correlation_needs_three_networks_that_differ():
    rows = [{"inherited": i, "alone": a} for i, a in ((0.1, 0.3), (0.2, 0.2), (0.3, 0.1))]
    assert correlation(rows)["spearman"] == pytest.approx(-1.0)
    nothing = {"networks": 2, "spearman": None, "p_value": None, "interval": None}
    assert correlation(rows[:2]) == nothing
    alike = [{**row, "inherited": 0.5} for row in rows]
    assert correlation(alike) == {**nothing, "networks": 3}


def test_sizes_are_ranked_beside_the_supernet():
    """A supernet that only knows how large networks are is no better than their size."""
    rng = np.random.default_rng(0)
    params = rng.permutation(20)
    rows = [
        {"inherited": float(rng.random()), "alone": p / 20, "params": p, "macs": -p, "tokens": 64}
        for p in params
    ]
    found = correlations(rows)
    assert found["baselines"]["params"]["spearman"] == pytest.approx(1.0)
    assert found["baselines"]["macs"]["spearman"] == pytest.approx(-1.0)
    assert found["baselines"]["tokens"]["spearman"] is None
    low, high = found["interval"]
    assert -1 <= low < found["spearman"] < high <= 1
    assert found["baselines"]["params"]["interval"] == pytest.approx([1.0, 1.0])
    assert line(found).endswith("; params 1.00 (1.00..1.00), macs -1.00 (-1.00..-1.00), tokens -")
