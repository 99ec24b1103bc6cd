# SPDX-License-Identifier: Apache-2.0
"""Any space of any dimensions: what loops over the declarations is right for each of them."""

import json
import pathlib
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.cost.census import take_census
from nas.cost.model import CostModel
from nas.cost.targets import KIB, Target
from nas.evolution.space_step import dimensions, step_of, values_of
from nas.search.autoformer import EvolutionSettings, cross, mutate
from nas.search.encoding import config_of, distributions, params_of
from nas.space import (
    DIMENSIONS,
    Patch,
    RankRule,
    SearchSpace,
    SpaceError,
    SubnetConfig,
    parse_subnet,
)
from nas.space.describe import describe
from nas.supernet.masks import MASKS, masks_of, widths_of
from tests.nas.space.test_space import enumerate_all

NAS = pathlib.Path(__file__).parents[3] / "nas"


# The most choices of each field; a new dimension gets a line here, and everything below holds.
POOLS = {
    "patches": (Patch(2), Patch(4)),
    "embed_dim": (8, 12, 16),
    "depth": (1, 2, 3),
    "heads": (1, 2, 3),
    "mlp_ratio": (0.5, 1.0, 2.0),
    "ranks": RankRule((0.25, 0.5, 1.0)),
    "head_dim": (2, 4, 6),
    "weight_bits": (4, 8),
}
FIXED = {
    "name": "any",
    "image_size": 8,
    "channels": 1,
    "num_classes": 3,
    "head_dim": 4,
    "weight_bits": (),
}
EVERYTHING = SearchSpace(**{**FIXED, **POOLS})


def some(values):
    """A few of them, in their order."""
    places = st.sets(st.sampled_from(range(len(values))), min_size=1)
    return places.map(lambda chosen: tuple(values[i] for i in sorted(chosen)))


def rules(rule):
    return st.none() | st.builds(
        RankRule, some(rule.ratios), st.booleans(), st.sampled_from((0, 12)), st.booleans()
    )


def part_of(field):
    """What spaces have in a field: a part of the pool, or what they have without the dimension."""
    if isinstance(POOLS[field], RankRule):
        return rules(POOLS[field])
    choices = some(POOLS[field])
    return choices | st.just(FIXED[field]) if field in FIXED else choices


CHOICES = {field: part_of(field) for field in POOLS}
SPACES = st.fixed_dictionaries(CHOICES).map(lambda chosen: SearchSpace(**{**FIXED, **chosen}))
SEEDS = st.integers(0, 2**32 - 1)


def test_every_dimension_is_tried_and_documented():
    assert {d.field for d in DIMENSIONS} == set(POOLS)
    assert EVERYTHING.dimensions == DIMENSIONS
    rows = (NAS.parent / "docs" / "search.md").read_text().splitlines()
    for d in DIMENSIONS:
        (row,) = [r.split(" | ") for r in rows if r.startswith(f"| `{d.name}` |")]
        moves = f"{d.limits[0]:g} to {d.limits[1]:g}" if d.limits else "-"
        assert f"`{d.field}`" in row[1]
        assert all(f"`{mask.name}`" in row[3] for mask in d.masks)
        assert row[4].strip(" |") == moves
    assert (
        len({d.name for d in DIMENSIONS}) == len({d.param for d in DIMENSIONS}) == len(DIMENSIONS)
    )


@given(SPACES)
def test_spaces_round_trip(space):
    assert SearchSpace.from_json(space.to_json()) == space
    assert pickle.loads(pickle.dumps(space)) == space
    assert space.replace(name=space.name) == space
    for dimension in dimensions(space):
        assert dimension.with_choices(space, dimension.choices(space)) == space
        assert step_of(space, dimension).gamma > 0


@given(SPACES, SEEDS)
def test_networks_round_trip(space, seed):
    config = space.sample(np.random.default_rng(seed))
    space.check(config)
    assert parse_subnet(json.loads(json.dumps(config.to_dict()))) == config
    params = params_of(space, config)
    allowed = distributions(space)
    assert params.keys() == allowed.keys()
    assert all(value in allowed[name].choices for name, value in params.items())
    assert config_of(space, params) == config
    blocks = tuple(config.block(b) for b in range(config.depth))
    assert space.join(space.network_of(config), blocks) == config
    assert all(block in space.block_choices(space.network_of(config)) for block in blocks)
    text = describe(space, config)
    assert len(text.split(", ")) == len(space.dimensions)


@given(SPACES, SEEDS)
def test_neighbours_stay_in_the_space(space, seed):
    rng = np.random.default_rng(seed)
    one, two = space.sample(rng), space.sample(rng)
    for _ in range(5):
        one, two = mutate(space, one, rng, EvolutionSettings()), cross(space, one, two, rng)
        space.check(one)
        space.check(two)


@given(SPACES, SEEDS)
def test_a_value_of_another_space_is_refused(space, seed):
    """Each dimension of a network is checked: another value of it is not of the space."""
    config = space.sample(np.random.default_rng(seed))
    for d in space.dimensions:
        if not d.stored:
            continue
        other = Patch(1) if d.name == "patch" else max(d.choices(space)) + 1
        value = (other,) * config.depth if d.per_block else other
        changed = {
            **{x.name: getattr(config, x.name) for x in DIMENSIONS if x.stored},
            d.name: value,
        }
        with pytest.raises(SpaceError, match=f"SubnetConfig.{d.name}"):
            space.check(SubnetConfig(**changed))


@given(SPACES)
@settings(max_examples=40)
def test_every_dimension_moves_size_and_sample_alike(space):
    every = list(enumerate_all(space)) if space.size <= 500 else []
    assert not every or len(set(every)) == len(every) == space.size
    for extreme in (space.smallest(), space.largest()):
        space.check(extreme)
    for d in space.dimensions:
        chosen = [d.value(c) for c in every]
        counts = {value: chosen.count(value) for value in d.choices(space)}
        assert not every or min(counts.values()) > 0


@given(SPACES, SEEDS)
@settings(max_examples=40)
def test_masks_hold_every_network(space, seed):
    widths, config = widths_of(space), space.sample(np.random.default_rng(seed))
    masks, arch = masks_of(space, widths, config), space.dense_arch(config)
    for mask in MASKS:
        selected = masks[mask.name].sum(axis=-1)
        assert masks[mask.name].shape[-1] == max(1, getattr(widths, mask.name))
        counts = [mask.count(space, config, arch, b) for b in range(config.depth)]
        if mask.per_block:  # none is cut off by the supernet's width; other blocks have none
            assert selected.tolist() == counts + [0] * (widths.depth - config.depth)
        else:
            assert selected == counts[0]


@given(SPACES, SEEDS)
@settings(max_examples=40)
def test_what_is_fitted_names_every_dimension_that_moves(space, seed):
    values = values_of(space.sample(np.random.default_rng(seed)))
    assert {n.split("/")[0] for n in values} == {d.name for d in space.dimensions if d.limits}


@given(
    SPACES.filter(lambda space: space.size <= 300),
    st.integers(6 * KIB, 10 * KIB),
    st.integers(1, 12 * KIB),
)
@settings(max_examples=12, deadline=None)
def test_census_equals_enumeration(space, sram, constants):
    model = CostModel(Target(sram_bytes=sram, flash_bytes=45 * KIB + constants))
    costs = [model.cost(space.arch(c)) for c in enumerate_all(space)]
    census = take_census(space, model)
    assert census.total == len(costs)
    assert census.fit_sram == sum("SRAM" not in k.excess for k in costs)
    assert census.fit_flash == sum("flash" not in k.excess for k in costs)
    fitting = [k.params for k in costs if k.fits]
    assert census.fit_both == len(fitting)
    assert (census.largest is None) == (not fitting)
    if fitting:
        assert model.cost(space.arch(census.largest)).params == max(fitting)


# What the loops are over; the rest is about one dimension by its nature (MCUFormer's pairs, the
# published figures) or holds the weights.
LOOPS = (
    "space/describe.py", "space/subnet.py", "cost/census.py", "cost/sampler.py",
    "search/encoding.py", "search/study.py", "search/front.py", "evolution/space_step.py",
    "evolution/rounds.py", "evolution/s3.py", "supernet/masks.py", "supernet/training.py",
    "report.py",
)  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_names_no_dimension_of_blocks(name):
    code = (NAS / name).read_text().split('"""', 2)[2]
    words = {d.name for d in DIMENSIONS if d.per_block} - {"heads"} | {"mlp{", "rank{"}
    assert not [word for word in words if word in code]
