# SPDX-License-Identifier: Apache-2.0
"""Supernet: extracted networks equal it, compilations, nested ranks, initialisation by SVD."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_models.arch import BlockRanks, StemLayer
from keras_models.training.distillation import Objective
from keras_models.vit import build_vit, random_weights
from nas.space import Patch, RankRule, SpaceError
from nas.space.presets import SPACES
from nas.supernet import resize
from nas.supernet.compiled import Steps
from nas.supernet.extract import extract
from nas.supernet.inherit import inherit
from nas.supernet.init_dense import init_from
from nas.supernet.net import Supernet, split_pair
from tests.nas.space.test_dimensions import EVERYTHING
from tests.nas.space.test_space import tiny

STEM = (StemLayer(3, 2, 5, "relu", True), StemLayer(3, 1, 4, "gelu"))
SPACE_KINDS = {
    "dense": tiny(ranks=None),
    "ranks": tiny(),
    "network_rank": tiny(ranks=RankRule((0.3, 0.6, 0.9), False, 10, False)),
    "stems": tiny(patches=(Patch(4), Patch(2), Patch(2, STEM), Patch(1, STEM)), channels=2),
    "every_dimension": EVERYTHING,
    "cls_padded": tiny(patches=(Patch(2), Patch(6)), pool="cls", activation="quick_gelu"),
}


def randomized(space, seed=0):
    """A built supernet with every weight away from its initial value."""
    net, rng = Supernet(space, seed), np.random.default_rng(seed)
    net.build()
    for weight in net.weights:
        value = np.asarray(weight)
        change = rng.normal(0, 0.1, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path else change))
    return net, rng


def images_of(space, rng, count=4):
    shape = (count, space.image_size, space.image_size, space.channels)
    return rng.uniform(-1, 1, shape).astype(np.float32)


def difference(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("kind", SPACE_KINDS)
def test_extracted_networks_equal_the_supernet(kind):
    """Random sub-networks of each space, and the largest and smallest with every patch."""
    space = SPACE_KINDS[kind]
    net, rng = randomized(space)
    steps, images = Steps(net), images_of(space, rng)
    ends = [end(patch) for patch in space.patches for end in (space.largest, space.smallest)]
    for config in (*ends, *(space.sample(rng) for _ in range(8))):
        model = extract(net, config)
        assert difference(steps.logits(images, config), model(images, training=False)) < 2e-5
        assert model.count_params() >= space.arch(config).params
    assert len(steps.compilations) == len(space.patches)  # not one per sub-network


def test_extraction_would_notice_a_wrong_width():
    space = SPACE_KINDS["ranks"]
    net, rng = randomized(space)
    images, config = images_of(space, rng), space.largest()
    logits = Steps(net).logits(images, config)
    for other in (
        dataclasses.replace(config, embed_dim=8),
        dataclasses.replace(config, heads=(2, 1)),
        dataclasses.replace(config, mlp_ratio=(1.0, 2.0)),
        dataclasses.replace(config, rank_ratio=(1.0, 0.5)),
        dataclasses.replace(config, heads=(2,), mlp_ratio=(2.0,), rank_ratio=(1.0,)),
        dataclasses.replace(config, patch=space.patches[1]),
    ):
        assert difference(extract(net, other)(images), logits) > 1e-3


def test_one_compilation_per_patch_and_learning():
    space = SPACE_KINDS["stems"].replace(patches=(Patch(4), Patch(2, STEM)))
    net, rng = Supernet(space), np.random.default_rng(0)
    net.build()
    steps = Steps(net, keras.optimizers.AdamW(3e-3), Objective(0.0, 0.5))
    images = images_of(space, rng, 12)
    labels = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    losses = []
    for _ in range(40):
        patch = space.patches[int(rng.integers(2))]
        configs = [space.largest(patch)]
        configs += [dataclasses.replace(space.sample(rng), patch=patch) for _ in range(1)]
        losses.append(steps.train(images, labels, configs))
    trained = [patch for kind, patch in steps.compilations if kind == "train"]
    assert len(trained) == len(set(trained)) == 2
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    for patch in space.patches:  # batch normalization and all: what was trained is extracted
        config = dataclasses.replace(space.sample(rng), patch=patch)
        model = extract(net, config)
        assert difference(steps.logits(images, config), model(images, training=False)) < 2e-5


def test_a_step_with_several_patches_is_refused():
    space = SPACE_KINDS["dense"]
    net = Supernet(space)
    net.build()
    steps = Steps(net, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="several forms"):
        steps.train(None, None, [space.largest(p) for p in space.patches])


def test_pairs_are_nested_singular_directions():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(9, 12)).astype(np.float32)
    left, right = split_pair(matrix, 9)
    assert difference(left @ right, matrix) < 1e-5
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    for rank in range(1, 9):
        best = (u[:, :rank] * s[:rank]) @ vt[:rank]
        assert difference(left[:, :rank] @ right[:rank], best) < 1e-5
    with pytest.raises(SpaceError, match="at most 9"):
        split_pair(matrix, 10)
    net = Supernet(tiny())
    net.build()
    norms = np.linalg.norm(net.values("block0_fc1_a/kernel"), axis=0)
    assert np.all(np.diff(norms) <= 1e-6)


def initial_model(space, **changes):
    arch = space.arch(space.largest(space.patches[-1])).replace(ranks=(), **changes)
    return arch, random_weights(build_vit(arch), 3)


@pytest.mark.parametrize("kind", SPACE_KINDS)
def test_initialisation_keeps_the_model(kind):
    """At full rank the supernet is the dense model; defect 5 of the released code (qkv scrambled
    by slicing the rank dimension) would change every logit."""
    space = SPACE_KINDS[kind]
    if space.ranks:
        ratios = (*space.ranks.ratios[:1], 1.0)
        space = space.replace(
            ranks=dataclasses.replace(space.ranks, ratios=ratios, attention_base=0)
        )
    for patch in space.patches:
        net = Supernet(space)
        net.build()
        arch = space.arch(space.largest(patch)).replace(ranks=())
        model = random_weights(build_vit(arch), 3)
        init_from(net, arch, model)
        images = images_of(space, np.random.default_rng(0))
        logits = Steps(net).logits(images, space.largest(patch))
        assert arch.grid <= net.stored_grid
        if arch.grid == net.stored_grid:
            assert difference(logits, model(images)) < 1e-4
        else:  # positions went up and down again: close, not equal
            assert difference(logits, model(images)) < 1.0


@pytest.mark.parametrize("kind", SPACE_KINDS)
@pytest.mark.parametrize("grows", [True, False])
def test_an_evolved_space_inherits_what_it_shares(kind, grows):
    """Networks of both spaces keep their logits; a deeper one starts as its first blocks."""
    small = SPACE_KINDS[kind]
    large = small.replace(
        embed_dim=(*small.embed_dim, 32), heads=(*small.heads, 4), depth=(*small.depth, 4),
        mlp_ratio=(*small.mlp_ratio, 3.0),
    )  # fmt: skip
    old, rng = randomized(small if grows else large)
    new = Supernet(large if grows else small, 5)
    new.build()
    inherit(new, old)
    images = images_of(small, rng)

    def logits(net, config):  # not compiled: quicker for a single batch
        return net(images, masks=net.masks(config), form=config.form)

    networks = [*(small.largest(p) for p in small.patches), *(small.sample(rng) for _ in range(4))]
    for shared in networks:
        assert difference(logits(old, shared), logits(new, shared)) < 2e-5
    if grows:
        shared = networks[0]  # of the old depth
        blocks = [shared.block(min(b, shared.depth - 1)) for b in range(4)]
        deeper = large.join(large.network_of(shared), tuple(blocks))
        assert difference(logits(new, deeper), logits(new, shared)) < 2e-5


def test_inheriting_other_patches():
    """A patch size of both spaces keeps its kernel, whatever the largest one is."""
    spaces = [tiny(patches=tuple(Patch(p) for p in sizes)) for sizes in ((2, 4), (2,), (4, 6))]
    for one, two, common in ((0, 1, 2), (1, 0, 2), (2, 0, 4), (0, 2, 4)):
        old, _ = randomized(spaces[one])
        new = Supernet(spaces[two])
        new.build()
        inherit(new, old)
        kernels = [extract(net, net.space.largest(Patch(common))).get_layer("patch").get_weights()
                   for net in (new, old)]  # fmt: skip
        assert difference(kernels[0][0], kernels[1][0]) < 1e-4


def test_inheriting_from_another_task_is_refused():
    new, old = Supernet(tiny()), Supernet(tiny(num_classes=9))
    with pytest.raises(SpaceError, match="num_classes 9, expected"):
        inherit(new, old)
    with pytest.raises(SpaceError, match="expected low ranks"):
        inherit(Supernet(tiny()), Supernet(tiny(ranks=None)))


def test_initialised_qkv_is_the_intended_matrix():
    space = tiny(heads=(1, 2, 3))
    net = Supernet(space)
    net.build()
    arch, model = initial_model(space)
    init_from(net, arch, model)
    given = model.get_layer("block1_qkv").get_weights()[0]
    product = net.values("block1_qkv_a/kernel") @ net.values("block1_qkv_b/kernel")
    assert difference(product, given) < 1e-5
    # A sub-network of one head has that head's q, k and v at full rank.
    config = dataclasses.replace(space.largest(), heads=(1, 1))
    kernel = extract(net, config).get_layer("block1_qkv").get_weights()[0]
    heads = given.reshape(12, 3, 3, space.head_dim)
    assert difference(kernel.reshape(12, 3, 1, space.head_dim), heads[:, :, :1]) < 1e-5


def test_initialisation_from_pairs_and_from_smaller_models():
    space = tiny(embed_dim=(8, 12))
    images = images_of(space, np.random.default_rng(0))
    arch = space.arch(space.largest(space.patches[0])).replace(
        ranks=(BlockRanks(4, 3, 4, 5), BlockRanks(5, 0, 4, 0))
    )
    model = random_weights(build_vit(arch), 1)
    net = Supernet(space)
    net.build()
    init_from(net, arch, model)
    logits = Steps(net).logits(images, space.largest(space.patches[0]))
    assert difference(logits, model(images)) < 1e-4
    small = Supernet(space.replace(embed_dim=(8,)))
    small.build()
    with pytest.raises(SpaceError, match="embed_dim 12, expected at most 8"):
        init_from(small, arch, model)
    with pytest.raises(SpaceError, match="num_classes 4, expected 3"):
        init_from(net, *initial_model(space, num_classes=4))
    with pytest.raises(SpaceError, match="relative_position 2, expected 0"):  # tables would be lost
        init_from(net, arch.replace(relative_position=2), model)
    with pytest.raises(SpaceError, match="activation 'quick_gelu', expected 'gelu'"):
        init_from(net, arch.replace(activation="quick_gelu"), model)


def test_resizing():
    for small, large in ((1, 1), (2, 4), (3, 7), (5, 8), (16, 32)):
        up = resize.enlarge(small, large)
        assert up.sum(axis=1) == pytest.approx(np.ones(large))
        # A straight line stays one, away from the repeated edges.
        line = up @ np.arange(small)
        inner = line[(line > 0) & (line < small - 1)]
        assert np.diff(inner, n=2) == pytest.approx(np.zeros(max(0, len(inner) - 2)), abs=1e-5)
    assert (resize.kernel_matrix(4, 4) == np.eye(16)).all()
    assert (resize.position_matrix(3, 3) == np.eye(9)).all()
    assert resize.position_matrix(2, 5).sum(axis=1) == pytest.approx(np.ones(4))
    rng = np.random.default_rng(0)
    kernel, patch = rng.normal(size=64), rng.normal(size=(4, 4))
    up = resize.enlarge(4, 8)
    seen = (up @ patch @ up.T).reshape(-1) @ kernel
    assert (resize.kernel_matrix(4, 8) @ kernel) @ patch.reshape(-1) == pytest.approx(
        seen, rel=1e-5
    )
    with pytest.raises(ValueError, match="expected 1 <= small <= large"):
        resize.enlarge(5, 4)


def test_published_space_has_a_supernet():
    """Widths only; the weights of mcuformer_t would take a minute."""
    net = Supernet(SPACES["mcuformer_t"])
    assert (net.widths.dim, net.widths.heads, net.widths.hidden, net.widths.depth) == (
        216,
        4,
        864,
        14,
    )
    assert (net.widths.qkv, net.widths.proj, net.widths.fc1) == (216, 216, 205)
