# SPDX-License-Identifier: Apache-2.0
"""Searched, random and hand-made networks have the same limits and as many evaluations."""

import numpy as np
import pytest

from benchmarks import searched_or_random as study
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.space.presets import get_space


@pytest.fixture(scope="module")
def sampler():
    space = get_space("digits_8")
    return Sampler(space, CostModel(Target(sram_bytes=16 * 1024, flash_bytes=64 * 1024)), 0)


def by_size(sampler):
    def accuracy(config):
        return 1 - 1e5 / (1e5 + sampler.space.arch(config).params)

    return accuracy


def test_the_hand_made_network_is_at_all_limits():
    limits = study.limits()
    cost = CostModel(limits, streamed=True).cost(study.HAND_MADE)
    assert cost.fits
    for name in ("sram_bytes", "flash_bytes", "latency_ms"):
        assert getattr(cost, name) == getattr(limits, name)
    loose = CostModel(Target(), streamed=True).cost(study.HAND_MADE)
    assert loose.instructions == cost.instructions


def test_search_and_chance_evaluate_as_many(sampler):
    seen = {}
    for kind in (study.evolved, study.drawn):
        networks = []

        def accuracy(config, networks=networks):
            networks.append(config)
            return by_size(sampler)(config)

        found = kind(sampler, accuracy, 3, 40)
        assert len(found) == len(set(networks)) == 40
        assert all(sampler.fits(config) for config in networks)
        seen[kind] = found
    assert np.mean(seen[study.evolved][-10:]) > 1.1 * np.mean(seen[study.drawn])


def test_gains_are_paired_by_seed():
    rows = [
        {"party": party, "seed": seed, "test_accuracy": value}
        for seed, values in enumerate(((0.60, 0.62, 0.63), (0.61, 0.65, 0.64)))
        for party, value in zip(study.PARTIES, values, strict=True)
    ]
    found = study.gains(rows)
    hand, random = found["over hand-made"], found["over random"]
    assert hand["points"] == pytest.approx([3.0, 3.0])
    assert random["points"] == pytest.approx([1.0, -1.0])
    assert (hand["better_in_each"], random["better_in_each"]) == (True, False)
    # 12.706 standard errors of 1 point for two seeds.
    assert random["interval"] == pytest.approx([-12.706, 12.706], abs=1e-3)
    assert study.gains(rows[:3])["over random"]["interval"] is None
    assert "over random" not in study.gains([rows[0], rows[2]])


def test_the_forecast_counts_all_parts():
    one = study.forecast(1, 3, 100, 1000, 45_000, 2)
    assert study.forecast(3, 3, 100, 1000, 45_000, 2) > one
    assert study.forecast(1, 3, 200, 1000, 45_000, 2) > one
    assert 1.5 < study.forecast(1, 3, 100, 1000, 45_000, 4) / one < 2


def test_the_best_of_equal_scores_is_the_first(sampler):
    rng, best = np.random.default_rng(0), study._Best(lambda config: 0.5)
    first, second = sampler.draw(rng), sampler.draw(rng)
    assert [best(first), best(second)] == [0.5, 0.5]
    assert best.found == (0.5, first)


def test_sizes_of_what_was_evaluated(sampler):
    rng, best = np.random.default_rng(0), study._Best(by_size(sampler))
    for _ in range(9):
        best(sampler.draw(rng))
    found = study.sizes(sampler.space, best.scored)
    macs = sorted(sampler.space.arch(config).macs for config, _ in best.scored)
    assert found["networks"] == 9
    assert found["macs"] == [macs[0], macs[4], macs[8]]
    assert found["inherited_mean"] == pytest.approx(np.mean([score for _, score in best.scored]))
    turned = [(config, -sampler.space.arch(config).macs) for config, _ in best.scored]
    assert study.sizes(sampler.space, turned)["spearman_of_macs"] == pytest.approx(-1)
