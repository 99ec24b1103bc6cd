# SPDX-License-Identifier: Apache-2.0
"""Sampling aware of complexity: steps side by side differ little, every size comes as often."""

import numpy as np
import pytest

from nas.cost.complexity import ComplexityLevels
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.space.presets import SPACES, STAGED_SPACES

LEVELS = 6
SPACE = SPACES["digits_8"]
MODEL = CostModel(Target(sram_bytes=16 * 1024, flash_bytes=64 * 1024))


def levels_of(count=LEVELS, seed=3):
    return ComplexityLevels.of_sizes(list(range(1, 601)), count, seed)


def test_levels_hold_equal_shares():
    known = levels_of()
    held = np.bincount([known.level_of(size) for size in range(1, 601)])
    assert known.count == LEVELS
    assert held.max() - held.min() <= 2


@pytest.mark.parametrize("sizes", [[7] * 20, [1, 1, 1, 9], [5]])
def test_levels_of_few_sizes_are_fewer_and_none_is_empty(sizes):
    known = ComplexityLevels.of_sizes(sizes, LEVELS, 0)
    assert {known.level_of(size) for size in sizes} == set(range(known.count))


@pytest.mark.parametrize("seed", range(4))
def test_the_walk_goes_to_neighbours_and_everywhere_alike(seed):
    known = levels_of(seed=seed)
    walk = np.array([known.level_of_step(n) for n in range(6000)])
    assert np.abs(np.diff(walk)).max() == 1
    shares = np.bincount(walk, minlength=LEVELS) / len(walk)
    assert shares.min() > 0.5 / LEVELS
    assert shares.max() < 2 / LEVELS


def test_a_step_depends_on_seed_and_number_alone():
    known = levels_of()
    later = known.level_of_step(3000)
    assert [levels_of().level_of_step(n) for n in (3000, 5)] == [later, known.level_of_step(5)]
    assert any(levels_of(seed=9).level_of_step(n) != known.level_of_step(n) for n in range(20))


def test_networks_of_steps_side_by_side_are_of_neighbouring_sizes():
    sampler = Sampler(SPACE, MODEL, 3)
    known = sampler.levels(LEVELS)
    numbers = range(2000, 2080)
    networks = [sampler.step(n, False, LEVELS) for n in numbers]
    assert all(len(step) == 1 and sampler.fits(step[0]) for step in networks)
    walk = [known.level_of(SPACE.arch(step[0]).macs) for step in networks]
    assert walk == [known.level_of_step(n) for n in numbers]
    assert Sampler(SPACE, MODEL, 3).step(2040, False, LEVELS) == networks[40]
    plain = [known.level_of(SPACE.arch(sampler.step(n, False)[0]).macs) for n in numbers]
    assert np.abs(np.diff(plain)).mean() > 2 * np.abs(np.diff(walk)).mean()


def test_a_space_of_stages_has_levels_too():
    space = STAGED_SPACES["hybrid_32"]
    known = ComplexityLevels.of_sizes(
        [space.arch(space.sample(np.random.default_rng(n))).macs for n in range(64)], 4, 0
    )
    assert known.count == 4
