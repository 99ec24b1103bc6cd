# SPDX-License-Identifier: Apache-2.0
"""Spaces: published values, size, sampling, JSON, refusals."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from keras_models.arch import BlockRanks
from nas.space import (
    Patch,
    RankRule,
    SearchSpace,
    SpaceError,
    SubnetConfig,
    parse_subnet,
)
from nas.space.presets import SPACES, get_space

PUBLISHED = {  # embed_dim, depth, heads, mlp_ratio, supernet width
    "mcuformer_t": ((168, 192, 216), (12, 13, 14), (3, 4), (3.5, 4.0), 256),
    "mcuformer_s": ((320, 384, 448), (12, 13, 14), (5, 6, 7), (3.0, 3.5, 4.0), 448),
    "mcuformer_b": ((528, 576, 624), (14, 15, 16), (9, 10), (3.0, 3.5, 4.0), 640),
}


def tiny(**changes):
    fields = {
        "name": "tiny",
        "image_size": 8,
        "channels": 1,
        "num_classes": 3,
        "patches": (Patch(2), Patch(4)),
        "embed_dim": (8, 12),
        "depth": (1, 2),
        "heads": (1, 2),
        "mlp_ratio": (1.0, 2.0),
        "head_dim": 4,
        "ranks": RankRule((0.5, 1.0)),
    }
    return SearchSpace(**{**fields, **changes})


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_spaces(name):
    space, (dims, depth, heads, ratios, width) = SPACES[name], PUBLISHED[name]
    assert (space.embed_dim, space.depth, space.heads, space.mlp_ratio) == (
        dims,
        depth,
        heads,
        ratios,
    )
    assert [round(r * 100) for r in space.ranks.ratios] == list(range(40, 100, 5))
    assert space.ranks.attention_base == width
    assert (space.image_size, space.head_dim) == (240, 64)
    paddings = {p.size: space.padding(p) for p in space.patches}
    assert paddings == {16: 0, 20: 0, 24: 0, 28: 6, 32: 8}


def test_published_ranks():
    """MLP ranks from the sampled width, attention ranks from the supernet's (but at most full)."""
    space = SPACES["mcuformer_t"]
    config = SubnetConfig(Patch(16), 168, (3,), (3.5,), (0.40,))
    ranks = space.block_ranks(config, 0)
    assert ranks == BlockRanks(qkv=102, proj=102, fc1=67, fc2=67)
    config = SubnetConfig(Patch(16), 216, (3, 4), (3.5, 4.0), (0.95, 0.95))
    ranks = space.block_ranks(config, 1)
    assert ranks == BlockRanks(qkv=216, proj=216, fc1=205, fc2=205)
    assert space.arch(config).ranks[1] == ranks


def test_pairs_that_do_not_pay_are_deployed_dense():
    space = tiny()
    full = SubnetConfig(Patch(2), 8, (2,), (2.0,), (1.0,))
    assert space.block_ranks(full, 0) == BlockRanks(8, 8, 8, 8)
    assert space.arch(full).ranks == ()
    half = space.arch(dataclasses.replace(full, rank_ratio=(0.5,))).ranks
    assert half == (BlockRanks(qkv=4, proj=0, fc1=4, fc2=4),)  # proj 4 * (8 + 8) = 8 * 8


def enumerate_all(space):
    for network, depth in itertools.product(space.networks(), space.depth):
        for blocks in itertools.product(space.block_choices(network), repeat=depth):
            yield space.join(network, blocks)


@pytest.mark.parametrize("ranks", [None, RankRule((0.5, 1.0)), RankRule((0.5, 1.0), False)])
def test_size_counts_every_network_once(ranks):
    space = tiny(ranks=ranks)
    every = list(enumerate_all(space))
    assert len(every) == len(set(every)) == space.size
    for config in every:
        space.check(config)
        assert space.arch(config).depth == config.depth


def test_size_is_exact_for_large_spaces():
    space = SPACES["mcuformer_t"]
    assert space.size == 5 * 3 * 12 * (4**12 + 4**13 + 4**14)
    assert SPACES["mcu_32"].size == 3 * 4 * sum(36**d for d in (3, 4, 5, 6))


def test_sampling_is_seeded_and_uniform_in_each_dimension():
    space = tiny()
    one, two = ([space.sample(np.random.default_rng((7, i))) for i in range(600)] for _ in range(2))
    assert one == two
    for config in one:
        space.check(config)
    for choices, values in (
        (space.embed_dim, [c.embed_dim for c in one]),
        (space.depth, [c.depth for c in one]),
        (space.patches, [c.patch for c in one]),
        (space.heads, [c.heads[0] for c in one]),
        (space.mlp_ratio, [c.mlp_ratio[0] for c in one]),
        (space.ranks.ratios, [c.rank_ratio[0] for c in one]),
    ):
        counts = [values.count(c) for c in choices]
        assert min(counts) > 600 / len(choices) * 0.8, (choices, counts)


@pytest.mark.parametrize("name", SPACES)
def test_json_round_trip(name, tmp_path):
    space = SPACES[name]
    space.save(tmp_path / "space.json")
    assert get_space(str(tmp_path / "space.json")) == space
    config = space.sample(np.random.default_rng(1))
    assert parse_subnet(json.loads(json.dumps(config.to_dict()))) == config
    space.check(space.smallest())
    space.check(space.largest())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed_dim": []}, "embed_dim"),
        ({"embed_dim": [12, 8]}, "ascending"),
        ({"heads": [1, 1]}, "none of them twice"),
        ({"depth": [0]}, "depth"),
        ({"mlp_ratio": [0.3]}, "mlp_ratio"),
        ({"ranks": {"ratios": [1.5]}}, "ranks.ratios"),
        ({"ranks": {"ratio": [0.5]}}, "ranks.ratio: unknown field"),
        ({"patches": [{"size": 3}]}, "even padding"),
        ({"patches": [{"size": 2, "stem": [{"kernel": 3}]}]}, "stem"),
        ({"colour": 1}, "colour: unknown field"),
        ({"pool": "max"}, "pool"),
    ],
)
def test_wrong_spaces_are_refused(change, message):
    data = {**json.loads(tiny().to_json()), **change}
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_json(json.dumps(data))


def test_missing_keys_and_no_json():
    data = json.loads(tiny().to_json())
    del data["embed_dim"]
    with pytest.raises(SpaceError, match="embed_dim"):
        SearchSpace.from_json(json.dumps(data))
    with pytest.raises(SpaceError, match="not JSON"):
        SearchSpace.from_json("{")
    with pytest.raises(SpaceError, match="mcu_32"):
        get_space("mcu_33")


def test_networks_of_another_space_are_refused():
    space = tiny()
    config = space.sample(np.random.default_rng(0))
    for change in (
        {"embed_dim": 9},
        {"patch": Patch(1)},
        {"heads": (1,) * 3, "mlp_ratio": (1.0,) * 3, "rank_ratio": (1.0,) * 3},
        {"rank_ratio": ()},
        {"mlp_ratio": (3.0,) * config.depth},
    ):
        with pytest.raises(SpaceError, match="SubnetConfig"):
            space.check(dataclasses.replace(config, **change))
    with pytest.raises(SpaceError, match="one rank ratio"):
        tiny(ranks=RankRule((0.5, 1.0), False)).check(
            SubnetConfig(Patch(2), 8, (1, 1), (1.0, 1.0), (0.5, 1.0))
        )
