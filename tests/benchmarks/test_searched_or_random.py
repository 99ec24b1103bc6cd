# SPDX-License-Identifier: Apache-2.0
"""Searched, random and hand-made networks have the same limits and as many evaluations."""

import dataclasses
import pathlib

import numpy as np
import pytest

from benchmarks import hand_made, party_gains
from benchmarks import searched_or_random as study
from benchmarks.trained_alone import TrainedAlone, candidates
from keras_models.datasets import load_dataset
from keras_models.training.recipe import HYBRID
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.space.any_space import load_space
from nas.space.presets import get_space

SPACE = pathlib.Path(study.__file__).parent / "spaces" / "hybrid_24_optional.json"


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


def test_the_hand_made_network_is_in_the_space():
    assert hand_made.hand_choice_of(load_space(SPACE)) is hand_made.HAND_CHOICE
    assert hand_made.hand_choice_of(load_space(SPACE.with_name("hybrid_24.json"))) is None
    # As many stages and the same choices, of another activation: another network.
    other = dataclasses.replace(load_space(SPACE), activation="quick_gelu")
    other.check(hand_made.HAND_CHOICE)
    assert hand_made.hand_choice_of(other) is None


def test_the_best_by_short_training_is_chosen(tmp_path, monkeypatch):
    """Of the candidates, not the one with the best inherited accuracy; what is stored is used."""
    space = load_space(SPACE)
    staged = Sampler(space, CostModel(study.limits(), streamed=True), 0)
    monkeypatch.setattr(study.FLAGS, "work", str(tmp_path), raising=False)
    for name, value in {"trials": 12, "candidates": 3, "candidate_epochs": 1}.items():
        monkeypatch.setattr(study.FLAGS, name, value, raising=False)
    trained = []

    class Alone:
        search_images = 10**9

        def briefly(self, epochs):
            return self

        def train(self, arch, seed):
            trained.append((arch.name, arch.macs, seed))
            return {"validation_accuracy": 1e-8 * (1e7 - arch.macs)}

    def accuracy(config):
        return 0.5 + 1e-13 * space.arch(config).macs

    found = study._chosen(party_gains.RANDOM, 0, staged, accuracy, Alone())
    assert [name for name, _, _ in trained] == [f"random_0_candidate_{i}" for i in range(3)]
    macs = [macs for _, macs, _ in trained]
    assert macs == sorted(macs, reverse=True)
    assert found.arch.macs == macs[-1] < macs[0]
    assert {seed for _, _, seed in trained} == {study.CANDIDATE_SEED}
    assert len(found.candidates) == 3
    again = study._chosen(party_gains.RANDOM, 0, staged, accuracy, Alone())
    assert len(trained) == 3
    assert again.arch == found.arch
    hand = study._chosen(study.HAND, 0, staged, accuracy, Alone())
    assert hand.inherited == accuracy(hand_made.HAND_CHOICE)
    other = Sampler(load_space(SPACE.with_name("hybrid_24.json")), staged.model, 0)
    assert study._chosen(study.HAND, 0, other, accuracy, Alone()).inherited is None


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
    assert study.forecast(1, 3, 100, 1000, 45_000, 2, 4) > one
    assert study.forecast(1, 3, 200, 1000, 45_000, 2) > one
    assert 1.5 < study.forecast(1, 3, 100, 1000, 45_000, 4) / one < 2


def test_the_best_of_equal_scores_is_the_first(sampler):
    rng, best = np.random.default_rng(0), study._Best(lambda config: 0.5)
    first, second = sampler.draw(rng), sampler.draw(rng)
    assert [best(first), best(second)] == [0.5, 0.5]
    assert candidates(sampler.space, best.scored, 100, 1) == [(first, 0.5)]
    assert candidates(sampler.space, [*best.scored, (first, 0.5)], 100, 3) == best.scored


def test_short_trainings_read_no_test_image():
    data = load_dataset("digits", image_size=8, channels=1)
    alone = TrainedAlone(HYBRID, data, "digits", "", "work", "command", 100).briefly(1)
    assert alone.recipe == dataclasses.replace(HYBRID, epochs=1)
    assert list(alone.data.split("test").indices) == list(data.validation.indices)
    assert alone.data.train is data.train


def test_candidates_are_the_largest_that_cannot_be_told_from_the_best(sampler):
    """An accuracy of 0.5 over 2,500 images has a standard error of 0.01."""
    rng = np.random.default_rng(0)
    drawn = sorted({sampler.draw(rng) for _ in range(8)}, key=lambda c: sampler.space.arch(c).macs)
    small, *middle, large = drawn
    scored = [(config, 0.495) for config in middle] + [(large, 0.489), (small, 0.5)]
    found = candidates(sampler.space, scored, 2500, 3)
    assert found == [(small, 0.5), (middle[-1], 0.495), (middle[-2], 0.495)]


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
