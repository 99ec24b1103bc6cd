# SPDX-License-Identifier: Apache-2.0
"""Spaces of stages: any choices make networks, and what loops over the declarations is right."""

import dataclasses
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_models.parts import StemLayer
from keras_models.published_presets import PUBLISHED_PRESETS
from keras_models.staged import StagedConfig
from keras_models.staged_presets import STAGED_PRESETS
from nas.cost.census import take_census
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.evolution.s3 import Measured
from nas.evolution.space_step import describe_space, dimensions, evolve_once, values_of
from nas.search.autoformer import EvolutionSettings, cross, mutate
from nas.search.encoding import config_of, distributions, params_of
from nas.space import SpaceError
from nas.space.any_space import load_space, parse_any_subnet
from nas.space.describe import describe
from nas.space.dimension import Scope
from nas.space.presets import SPACES, get_space
from nas.space.stage_dimensions import STAGE_DIMENSIONS
from nas.space.stage_space import StageChoice, StageSpace
from nas.space.staged_presets import STAGED_SPACES
from nas.space.staged_space import StagedSpace

SMALL = StagedSpace(
    name="small",
    image_size=16,
    num_classes=3,
    stem=(StemLayer(3, 2, 8, "relu", True),),
    stages=(
        StageSpace(("residual", "separable"), depth=(1, 2), width=(8, 12), stride=2),
        StageSpace(
            ("attention",), depth=(1, 2), heads=(1, 2), mlp_ratio=(0.5, 1.0), head_dim=4,
            window=(0, 2), bias=True, position=True,
        ),
        StageSpace(
            ("attention",), depth=(1,), width=(8, 16), heads=(1, 2), mlp_ratio=(1.0, 1.5),
            head_dim=8, down="merge", stride=2, relative_position=2, weight_bits=(4, 8),
        ),
    ),
)  # fmt: skip
BITS = SMALL.replace(
    name="bits", stages=tuple(stage.replace(weight_bits=(4, 8)) for stage in SMALL.stages)
)
OPTIONAL = SMALL.replace(
    name="optional",
    stages=(
        SMALL.stages[0],
        SMALL.stages[1].replace(depth=(0, 1, 2), position=False),
        SMALL.stages[2].replace(depth=(0, 2)),
    ),
)
NAMED = {**STAGED_SPACES, "small": SMALL, "bits": BITS, "optional": OPTIONAL}
SPACE = st.sampled_from(list(NAMED.values()))
SEED = st.integers(0, 2**32 - 1)


@given(SPACE, SEED)
@settings(max_examples=30, deadline=None)
def test_networks_of_a_space(space, seed):
    rng = np.random.default_rng(seed)
    one, two = space.sample(rng), space.sample(rng)
    for config in (one, mutate(space, one, rng, EvolutionSettings()), cross(space, one, two, rng)):
        space.check(config)
        assert space.arch(config).depth == config.depth
        assert parse_any_subnet(config.to_dict()) == config
        params = params_of(space, config)
        assert config_of(space, params) == config
        assert params.keys() == distributions(space).keys()
        assert all(params[n] in d.choices for n, d in distributions(space).items())
        assert len(describe(space, config).split("; ")) == len(space.stages)
        assert config.form in list(space.forms())
        space.of_form(config.form).check(config)


def test_size_is_what_can_be_drawn():
    """Of the smaller parts; a part of each form adds up to the whole."""
    rng = np.random.default_rng(0)
    parts = [OPTIONAL.of_form(form) for form in OPTIONAL.forms()]
    small = [part for part in parts if part.size <= 600]
    assert small
    for part in small:
        assert len({part.sample(rng) for _ in range(9 * part.size)}) == part.size
    for stage in OPTIONAL.stages[1:]:
        assert stage.size == stage.replace(depth=stage.depths).size + 1
    for space in (SMALL, OPTIONAL):
        assert sum(space.of_form(form).size for form in space.forms()) == space.size


def test_a_stage_that_is_left_out_leaves_nothing():
    """Neither its way down nor its positions; all ways to say so are one network."""
    grids = {}
    for form in OPTIONAL.forms():
        config = OPTIONAL.of_form(form).largest()
        grids[tuple(choice.depth for choice in config.stages)] = OPTIONAL.arch(config).sources[-1]
    assert {depths: (grid.side, grid.width) for depths, grid in grids.items()} == {
        (2, 2, 2): (2, 16), (2, 2, 0): (4, 12), (2, 0, 2): (2, 16), (2, 0, 0): (4, 12),
    }  # fmt: skip
    params = {name: choices[-1] for name, choices in OPTIONAL.parameters().items()}
    ways = [params | {"stage2_depth": 0, "stage2_width": width} for width in (8, 16)]
    one, two = (OPTIONAL.from_parameters(way) for way in ways)
    assert one == two
    assert one.stages[2] == StageChoice("none", depth=0)
    assert describe(OPTIONAL, one).endswith("; none")
    for blocks, depth in (("none", 2), ("attention", 0)):
        wrong = dataclasses.replace(one.stages[2], blocks=blocks, depth=depth)
        with pytest.raises(SpaceError, match=r"\[2\]\.depth: got \d, expected 0 where blocks"):
            OPTIONAL.check(dataclasses.replace(one, stages=(*one.stages[:2], wrong)))
    with pytest.raises(SpaceError, match=r"\[2\]\.blocks: got 'none', expected one of"):
        SMALL.check(one)


def test_depths_move_but_whether_a_stage_may_be_left_out_does_not():
    axes = {axis.name: axis for axis in OPTIONAL.axes()}
    assert "stage2.depth" not in axes  # nothing but 2
    depth = axes["stage1.depth"]
    assert depth.choices(OPTIONAL) == (1, 2)
    assert depth.with_choices(OPTIONAL, (2, 3)).stages[1].depth == (0, 2, 3)


def test_every_network_has_a_stage():
    with pytest.raises(SpaceError, match=r"\[2\]\.depth: got \(0,\), expected a depth beside"):
        OPTIONAL.replace(stages=(*SMALL.stages[:2], SMALL.stages[2].replace(depth=(0,))))
    first = SMALL.stages[0].replace(depth=(0, 1))
    with pytest.raises(SpaceError, match="expected a stage that no network leaves out"):
        OPTIONAL.replace(stages=(first, *OPTIONAL.stages[1:]))


@pytest.mark.parametrize("name", NAMED)
def test_json_round_trip(name, tmp_path):
    space = NAMED[name]
    space.save(tmp_path / "space.json")
    assert load_space(tmp_path / "space.json") == get_space(str(tmp_path / "space.json")) == space
    SPACES["digits_8"].save(tmp_path / "flat.json")
    assert load_space(tmp_path / "flat.json") == SPACES["digits_8"]


def test_the_published_network_is_in_its_space():
    space, published = STAGED_SPACES["s3_t"], PUBLISHED_PRESETS["s3_t"]
    config = space.sample(np.random.default_rng(0))
    depths, windows = (2, 2, 6, 2), (7, 7, 0, 0)
    stages = []
    for i, choice in enumerate(config.stages):
        width, depth = 96 << i, depths[i]
        stages.append(
            dataclasses.replace(
                choice, width=width, depth=depth, window=windows[i],
                heads=(width // 32,) * depth, mlp_ratio=(4.0,) * depth,
            )
        )  # fmt: skip
    config = dataclasses.replace(config, stages=tuple(stages))
    space.check(config)
    assert space.arch(config).stages == published.stages
    hybrid = STAGED_PRESETS["hybrid_32"]
    assert hybrid.stem == STAGED_SPACES["hybrid_32"].stem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": ("dense",)}, r"stages\[1\]\.blocks: got 'dense', expected one of residual"),
        ({"width": (12, 8)}, r"stages\[1\]\.width: got \(12, 8\), expected choices in ascending"),
        ({"heads": ()}, r"stages\[1\]\.heads: got \(\), expected choices"),
        ({"blocks": ("residual",)}, r"stages\[1\]\.heads: got \(1, 2\), expected none without"),
        (
            {"mlp_ratio": (0.3,)},
            r"small: ArchConfig\.stages\[1\]\.mlp_ratio\[0\]: got 0.3",
        ),
        ({"width": (12,), "mlp_ratio": (1.25,)}, r"small: ArchConfig\.stages\[1\]\.width: got 12"),
        ({"window": (3,)}, r"small: ArchConfig\.stages\[1\]\.window: got 3"),
        ({"weight_bits": (4, 6)}, r"stages\[1\]\.weight_bits: got \(4, 6\), expected some of 4, 8"),
        ({"stride": 3}, r"small: ArchConfig\.stages\[1\]\.stride: got 3"),
    ],
)
def test_errors_name_stage_and_field(change, message):
    stages = list(SMALL.stages)
    stages[1] = dataclasses.replace(stages[1], **change)
    with pytest.raises(SpaceError, match=message):
        SMALL.replace(stages=tuple(stages))


def test_each_dimension_says_who_chooses():
    scopes = {d.name: d.scope(SMALL.stages[1]) for d in STAGE_DIMENSIONS}
    of_stage = {n for n, scope in scopes.items() if scope is Scope.STAGE}
    assert of_stage == {"blocks", "width", "depth", "window"}
    of_block = {n for n, scope in scopes.items() if scope is Scope.BLOCK}
    assert of_block == {"heads", "mlp_ratio", "weight_bits"}


def test_bits_of_blocks_cost_flash_and_are_in_the_architecture():
    config = SMALL.largest()
    small = dataclasses.replace(config.stages[-1], weight_bits=(4,))
    small = dataclasses.replace(config, stages=(*config.stages[:-1], small))
    SMALL.check(small)
    archs = [SMALL.arch(c) for c in (config, small)]
    assert [arch.weight_bits for arch in archs] == [(), (8, 8, 4)]
    assert StagedConfig.from_json(archs[1].to_json()) == archs[1]
    costs = [CostModel(Target()).cost(arch) for arch in archs]
    weights = archs[1].transformer_blocks[4]
    dense = sum(i * o for i, o, _ in weights.linears(packed=True))
    saved = costs[0].constant_bytes - costs[1].constant_bytes
    assert dense / 2 - 64 <= saved <= dense / 2


@pytest.mark.parametrize("blocks", ["residual", "separable"])
def test_bits_of_convolutions_cost_flash_and_are_in_the_architecture(blocks):
    space = BITS.of_form(((blocks, 0), *next(iter(BITS.forms()))[1:]))
    config = space.largest()
    first = dataclasses.replace(config.stages[0], weight_bits=(8, 4))
    small = dataclasses.replace(config, stages=(first, *config.stages[1:]))
    archs = [space.arch(c) for c in (config, small)]
    assert [arch.small_convolutions for arch in archs] == [(), ("stage0_block1",)]
    assert archs[0].weight_bits == archs[1].weight_bits == ()
    assert StagedConfig.from_json(archs[1].to_json()) == archs[1]
    costs = [CostModel(Target(), streamed=False).cost(arch) for arch in archs]
    dense = [c.weights for c in archs[1].stages[0].convolutions(archs[1].sources[0])[1]
             if c.weight_bits == 4]  # fmt: skip
    assert len(dense) == {"residual": 2, "separable": 1}[blocks]
    saved = costs[0].constant_bytes - costs[1].constant_bytes
    assert sum(dense) / 2 - 16 * len(dense) <= saved <= sum(dense) / 2
    assert costs[0].arena_bytes == costs[1].arena_bytes
    assert costs[0].instructions != costs[1].instructions


def test_files_of_spaces_without_the_choice_stay_what_they_were():
    space = STAGED_SPACES["hybrid_32"]
    assert "weight_bits" not in space.to_json()
    assert "weight_bits" not in str(space.largest().to_dict())


def test_every_dimension_of_stages_is_documented():
    rows = (pathlib.Path(__file__).parents[3] / "docs" / "search.md").read_text().splitlines()
    for d in STAGE_DIMENSIONS:
        (row,) = [r.split(" | ") for r in rows if r.startswith(f"| stage `{d.name}`")]
        moves = f"{d.limits[0]:g} to {d.limits[1]:g}" if d.limits else "-"
        assert row[1] == d.scope(SMALL.stages[1]).value
        assert all(f"`{mask.name}`" in row[2] for mask in d.masks)
        assert row[3].strip(" |") == moves


def test_census_of_a_space_of_stages():
    free, rng = CostModel(Target(), streamed=False), np.random.default_rng(98)
    some = [free.cost(SMALL.arch(SMALL.sample(rng))) for _ in range(50)]
    limits = [int(np.median([getattr(c, n) for c in some])) for n in ("sram_bytes", "flash_bytes")]
    model = CostModel(Target(sram_bytes=limits[0], flash_bytes=limits[1]), streamed=False)
    census = take_census(SMALL, model)
    assert census.drawn
    rng = np.random.default_rng(99)
    fits = np.mean([model.cost(SMALL.arch(SMALL.sample(rng))).fits for _ in range(300)])
    assert 0 < census.fit_both < census.total
    noise = 1.96 * np.sqrt(fits * (1 - fits) / 300)
    assert census.fit_both / census.total == pytest.approx(
        fits, abs=1.5 * (census.interval + noise)
    )
    largest = model.cost(SMALL.arch(census.largest))
    assert largest.fits
    configs = [SMALL.sample(rng) for _ in range(100)]
    costs = [model.cost(SMALL.arch(c)) for c in configs]
    assert all(cost.params <= largest.params for cost in costs if cost.fits)
    least = model.cost(SMALL.arch(census.least_flash)).constant_bytes
    assert all(least <= cost.constant_bytes for cost in costs)


def test_each_stage_moves_for_itself():
    """Errors that fall with the first stage's width and rise with the last one's heads."""
    rng = np.random.default_rng(3)
    configs = [SMALL.sample(rng) for _ in range(120)]
    measured = []
    for config in configs:
        values = values_of(config)
        error = 0.5 - 0.02 * values["stage0.width"] + 0.1 * values["stage2.heads/mean"]
        measured.append(Measured(values, error))
    evolved = evolve_once(SMALL, measured, 30)
    moves = {d.name: (d.before, d.after) for d in evolved.dimensions}
    assert moves["stage0.width"] == ((8, 12), (12, 16))
    assert moves["stage2.heads"] == ((1, 2), (1,))
    assert evolved.after.stages[1].width == SMALL.stages[1].width
    assert [d.name for d in dimensions(SMALL)] == list(moves)
    assert "stage0.width 8,12" in describe_space(SMALL)
