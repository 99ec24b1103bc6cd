# SPDX-License-Identifier: Apache-2.0
"""Supernets of stages: extracted networks equal them, training, batch statistics, inheritance."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_models.parts import StemLayer
from keras_models.training.distillation import Objective
from nas.space import Patch, SpaceError
from nas.space.stage_space import StageSpace
from nas.space.staged_space import StagedSpace
from nas.supernet.compiled import Steps
from nas.supernet.extract import extract
from nas.supernet.make import make_supernet
from nas.supernet.selection import Masked, Sliced
from nas.supernet.staged_inherit import inherit_stages
from tests.nas.space.test_space import tiny
from tests.nas.supernet.test_supernet import difference

HYBRID = StagedSpace(
    name="hybrid",
    image_size=16,
    num_classes=3,
    stem=(StemLayer(3, 2, 6, "relu", True),),
    stages=(
        StageSpace(
            ("residual", "separable"), depth=(1, 2, 3), width=(6, 8), stride=2, weight_bits=(4, 8),
        ),
        StageSpace(
            ("attention",), depth=(1, 2), heads=(1, 2), mlp_ratio=(0.5, 1.0), head_dim=4,
            position=True, relative_position=1,
        ),
        StageSpace(
            ("attention",), depth=(1,), width=(8, 12), heads=(1, 2), mlp_ratio=(1.0, 1.5),
            head_dim=4, down="merge", stride=2,
        ),
    ),
)  # fmt: skip
WINDOWS = StagedSpace(
    name="windows",
    image_size=16,
    num_classes=3,
    norm_epsilon=1e-5,
    stages=(
        StageSpace(
            ("attention",), depth=(1, 2), width=(8, 12), heads=(1, 2), mlp_ratio=(1.0, 1.5),
            head_dim=4, window=(0, 2, 4), shift=True, bias=True, norm=True, down="patch", stride=2,
        ),
        StageSpace(
            ("attention",), depth=(1, 2), width=(8, 16), heads=(1, 2), mlp_ratio=(1.0,), head_dim=4,
            down="conv", stride=2, bias=True, weight_bits=(4, 8),
        ),
    ),
)  # fmt: skip
CONVOLUTIONS = StagedSpace(
    name="convolutions",
    image_size=8,
    channels=1,
    num_classes=3,
    stages=(
        StageSpace(("residual",), depth=(1, 2), width=(4, 6), stride=2),
        StageSpace(
            ("separable", "residual"), depth=(1, 2), width=(8, 12)
        ),  # never the width before
    ),
)
# A way down that some networks take, convolutions that some have, with and without a width.
OPTIONAL = StagedSpace(
    name="optional",
    image_size=8,
    num_classes=3,
    stages=(
        StageSpace(("separable",), depth=(0, 1, 2), width=(4, 6)),
        StageSpace(("residual", "separable"), depth=(1, 2), width=(8, 10), stride=2),
        StageSpace(("attention",), depth=(0, 1), heads=(1, 2), mlp_ratio=(0.5,), head_dim=4,
                   position=True),
        StageSpace(("attention",), depth=(0, 2), width=(8, 12), heads=(1, 2), mlp_ratio=(1.0, 1.5),
                   head_dim=4, down="merge", stride=2),
        StageSpace(("attention",), depth=(0, 1), heads=(1,), mlp_ratio=(0.5,), head_dim=4),
    ),
)  # fmt: skip
SPACES = {s.name: s for s in (HYBRID, WINDOWS, CONVOLUTIONS)}


def randomized(space, seed=0):
    """A built supernet with every weight away from its initial value."""
    net, rng = make_supernet(space, seed), np.random.default_rng(seed)
    for weight in net.weights:
        value = np.asarray(weight)
        change = rng.normal(0, 0.1, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path else change))
    return net, rng


def images_of(space, rng, count=4):
    shape = (count, space.image_size, space.image_size, space.channels)
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize(
    "name", ["hybrid", "windows", pytest.param("convolutions", marks=pytest.mark.slow)]
)
def test_extracted_networks_equal_the_supernet(name):
    """The largest of two forms, and random ones."""
    space = SPACES[name]
    net, rng = randomized(space)
    images = images_of(space, rng)
    steps = Steps(net, calibration=images_of(space, rng, 24) if net.needs_statistics else None)
    first, *_, last = space.forms()
    configs = [space.largest(first), space.largest(last)]
    configs += [space.of_form(first).sample(rng) for _ in range(2)]
    if space is HYBRID:  # of 4 and of 8 bits, one behind the other
        some = (dataclasses.replace(c.stages[0], weight_bits=(4, 8, 4)) for c in configs[:2])
        configs[:2] = [
            dataclasses.replace(c, stages=(stage, *c.stages[1:]))
            for c, stage in zip(configs, some, strict=False)
        ]
    if space is WINDOWS:
        bits = dataclasses.replace(configs[0].stages[1], weight_bits=(4, 8))
        configs.append(dataclasses.replace(configs[0], stages=(configs[0].stages[0], bits)))
    for config in configs:
        model = extract(net, config, steps.statistics(config))
        assert difference(steps.logits(images, config), model(images, training=False)) < 2e-5
        assert model.count_params() >= space.arch(config).params
    compiled = [kind for kind, _ in steps.compilations]
    assert compiled.count("logits") == 2  # one for each form, not for each network


def test_networks_without_a_stage_equal_the_supernet():
    """All stages, and several sets of them, both ways to compute it. Behind a way down that is not
    taken the grid is another one."""
    net, rng = randomized(OPTIONAL)
    images = images_of(OPTIONAL, rng)
    steps = Steps(net, calibration=images_of(OPTIONAL, rng, 24))
    kinds = ("separable", "residual", "attention", "attention", "attention")
    for here in ("11111", "01000", "01101", "11010"):
        form = tuple((k if h == "1" else "none", 0) for k, h in zip(kinds, here, strict=True))
        assert form in list(OPTIONAL.forms())
        config = OPTIONAL.of_form(form).sample(rng)
        statistics = steps.statistics(config)
        model = extract(net, config, statistics)
        assert model.count_params() >= OPTIONAL.arch(config).params
        expected = np.asarray(model(images, training=False))
        masks = net.masks(config)
        for net.select in (Masked(), Sliced()):
            found = net(images, masks=masks, form=form, statistics=statistics)
            assert difference(found, expected) < 2e-5


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (
            3,
            {"width": (8,)},
            "stage 3 may be left out and has at most 8 channels, expected",
        ),
        (0, {"stride": 2}, "stage 0 may be left out and has stride 2, expected no position and no"),
    ],
)
def test_later_weights_do_not_depend_on_what_is_left_out(place, change, message):
    stages = list(OPTIONAL.stages)
    stages[place] = stages[place].replace(**change)
    with pytest.raises(SpaceError, match=message):
        make_supernet(OPTIONAL.replace(stages=tuple(stages)), 0)


def test_a_shortcut_is_one_in_every_network():
    """A width that the stage before may have, too, is refused: there the shortcut is nothing."""
    last = StageSpace(("residual",), depth=(1,), width=(6, 12))
    space = CONVOLUTIONS.replace(stages=(CONVOLUTIONS.stages[0], last))
    with pytest.raises(SpaceError, match="the width before it, or none of 6"):
        make_supernet(space, 0)


def test_masks_give_what_slices_give():
    """The other way to compute a sub-network, for backends without sizes at run time."""
    for space in (HYBRID, WINDOWS):
        net, rng = randomized(space)
        images = images_of(space, rng)
        config = space.sample(rng)
        masks = net.masks(config)
        sliced = net(images, masks=masks, form=config.form)
        net.select = Masked()
        assert difference(net(images, masks=masks, form=config.form), sliced) < 2e-5


def test_statistics_are_those_of_the_network_alone():
    """Of one batch: a plain model's batch normalizations in training see the same."""
    net, rng = randomized(HYBRID)
    images = images_of(HYBRID, rng, 24)
    steps, config = Steps(net, calibration=images), HYBRID.sample(rng)
    statistics = steps.statistics(config)
    model = extract(net, config, statistics)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    stem = [np.asarray(w) for w in net.stem[1].weights]
    first = model.get_layer("stage0_block0_a_bn")
    model.get_layer("stem0_bn").trainable = False  # its moving averages stay
    model(images, training=True)
    blocks, width = config.stages[0].blocks, config.stages[0].width
    if blocks == "residual":
        mean, variance = statistics["stage0_residual_block0_a"][:, :width]
        np.testing.assert_allclose(np.asarray(first.moving_mean), mean, atol=1e-4)
        np.testing.assert_allclose(np.asarray(first.moving_variance), variance, rtol=1e-3)
    assert len(stem) == 4
    with pytest.raises(ValueError, match="expected calibration images"):
        Steps(net).logits(images, config)
    with pytest.raises(ValueError, match="expected the sub-network's batch statistics"):
        extract(net, config)


@pytest.mark.slow
def test_training_learns_and_compiles_once_per_form():
    space = HYBRID.of_form(next(iter(HYBRID.forms())))
    net, rng = make_supernet(HYBRID), np.random.default_rng(0)
    images = images_of(HYBRID, rng, 12)
    steps = Steps(net, keras.optimizers.AdamW(3e-3), Objective(0.0, 0.0), calibration=images)
    labels = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    losses = [steps.train(images, labels, [space.sample(rng)]) for _ in range(40)]
    assert [kind for kind, _ in steps.compilations] == ["train"]
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    config = space.sample(rng)
    model = extract(net, config, steps.statistics(config))
    assert difference(steps.logits(images, config), model(images, training=False)) < 2e-5


@pytest.mark.parametrize("name", ["hybrid", pytest.param("windows", marks=pytest.mark.slow)])
def test_a_wider_space_inherits(name):
    """A sub-network of both spaces gives the same logits; other stages are refused."""
    space = SPACES[name]
    old, rng = randomized(space)
    wider = [
        dataclasses.replace(
            stage, width=(*stage.width, 20) if stage.width else (), depth=(*stage.depth, 4),
            heads=(*stage.heads, 3) if stage.heads else (),
        )
        for stage in space.stages
    ]  # fmt: skip
    new = make_supernet(space.replace(stages=tuple(wider)), 1)
    inherit_stages(new, old)
    images, config = images_of(space, rng), space.sample(rng)
    given = images_of(space, rng, 24) if old.needs_statistics else None
    logits = [Steps(net, calibration=given).logits(images, config) for net in (old, new)]
    assert difference(*logits) < 2e-5
    other = dataclasses.replace(space.stages[-1], head_dim=8)
    with pytest.raises(SpaceError, match=r"stages\[\d\]\.head_dim 4, expected 8"):
        inherit_stages(make_supernet(space.replace(stages=(*space.stages[:-1], other))), old)


def test_relative_keys_and_values_of_one_stage():
    space = tiny(patches=(Patch(2), Patch(4)), pool="patches", relative_position=2)
    net, rng = randomized(space)
    steps, images = Steps(net), images_of(space, rng)
    for config in (space.largest(), space.sample(rng)):
        model = extract(net, config)
        assert "block0_sdpa/position_keys" in {w.path for w in model.weights}
        assert difference(steps.logits(images, config), model(images, training=False)) < 2e-5
