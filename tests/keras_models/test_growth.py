# SPDX-License-Identifier: Apache-2.0
"""Larger networks that begin as smaller trained ones: the same function, and what is refused."""

import dataclasses

import numpy as np
import pytest

from keras_models.arch import ArchConfig
from keras_models.load import ModelNotFoundError
from keras_models.parts import BlockRanks, StemLayer
from keras_models.staged import StagedConfig
from keras_models.staged_presets import STAGED_PRESETS
from keras_models.stages import AttentionStage, ConvStage
from keras_models.training import growth
from keras_models.vit import build_vit, named_weights, random_weights

FLAT = ArchConfig.uniform(
    name="flat", image_size=8, channels=1, num_classes=4, patch_size=4, embed_dim=8, depth=1,
    heads=2, head_dim=4, mlp_ratio=2.0,
)  # fmt: skip
ATTENTION = AttentionStage.uniform(width=10, depth=1, heads=2, head_dim=4, position=True)
MERGE = AttentionStage.uniform(
    width=16, depth=2, heads=1, head_dim=4, mlp_ratio=2.0, down="merge", stride=2, norm=True
)
STAGED = StagedConfig(
    name="staged",
    image_size=8,
    channels=2,
    num_classes=3,
    stem=(StemLayer(kernel=3, stride=1, channels=6, activation="relu", batch_norm=True),),
    stages=(
        ConvStage("residual", width=8, depth=1, stride=2),
        ConvStage("separable", width=10),
        ATTENTION,
        MERGE,
    ),
)

# Its residual block has a shortcut's convolution because the stem is narrower.
SHORT = STAGED.replace(stages=(ConvStage("residual", width=8),))


def both(small, large):
    """Outputs of the trained network and of the one that begins as it."""
    shape = (2, small.image_size, small.image_size, small.channels)
    images = np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
    if getattr(small, "vocabulary", 0):
        images = np.floor(images * 128)
    before, after = random_weights(build_vit(small), 1), random_weights(build_vit(large), 2)
    fresh = named_weights(after)
    found = growth.grown(small, named_weights(before), large, fresh, 0)
    assert list(found) == list(fresh)
    after.set_weights(list(found.values()))
    return (np.asarray(model(images, training=False)) for model in (before, after))


def staged(*changes, **fields):
    """`STAGED` with changes of its stages, in order."""
    stages = zip(STAGED.stages, changes, strict=True)
    return STAGED.replace(
        stages=tuple(dataclasses.replace(s, **change) for s, change in stages), **fields
    )


# Nothing of these changes what a LayerNorm sees.
SAME = {
    "blocks": (FLAT, {"heads": (3, 1), "mlp_ratio": (2.5, 1.0)}),
    "keras": (
        FLAT.replace(attention="keras", norm="keras", pool="cls"),
        {"heads": (3, 1), "mlp_ratio": (2.5, 1.0)},
    ),
    "ranks": (
        FLAT.replace(attention="separate", ranks=(BlockRanks(qkv=2, proj=3, fc1=4, fc2=3),)),
        {"ranks": (BlockRanks(qkv=3, proj=4, fc1=5, fc2=6),), "heads": (3,)},
    ),
    "post-norm": (
        FLAT.replace(norm_after=True, relative_position=2),
        {"heads": (4,), "mlp_ratio": (3.0,)},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_leaves_the_stream_as_wide_is_exact(name):
    small, changes = SAME[name]
    before, after = both(small, small.replace(**changes))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_convolutions_heads_and_blocks_of_stages_are_exact():
    wider_stem = (dataclasses.replace(STAGED.stem[0], channels=9),)
    large = staged(
        {"width": 11, "depth": 3},
        {},
        {"heads": (3, 1), "mlp_ratio": (4.0, 2.0)},
        {"heads": (1, 2, 1), "mlp_ratio": (2.0, 3.0, 1.0)},
        stem=wider_stem,
    )
    before, after = both(STAGED, large)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_a_stream_of_twice_the_width_is_exact_without_noise(monkeypatch):
    """Each channel is there twice, so that means and variances are what they were."""
    large = staged({"width": 16}, {"width": 20}, {"width": 20}, {"width": 32})
    monkeypatch.setattr(growth, "NOISE", 0.0)
    before, after = both(STAGED, large)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    text = FLAT.replace(image_size=4, patch_size=1, vocabulary=256, embedding_rank=3)
    before, after = both(text, text.replace(embed_dim=16, embedding_rank=5))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    tables = {"image_size": 4, "channels": 1, "vocabulary": 256, "embedding_rank": 3}
    line = SHORT.replace(stem=(), embed_dim=8, **tables)
    wider = (dataclasses.replace(line.stages[0], width=16),)
    before, after = both(line, line.replace(embed_dim=16, embedding_rank=5, stages=wider))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_copies_are_not_the_same_and_the_seed_says_how():
    old = {"block0_qkv/kernel": np.ones((2, 6), np.float32)}
    shape = (3, 12)  # one more input, two heads of two in the place of one

    def once(seed):
        return growth._grown("block0_qkv/kernel", old["block0_qkv/kernel"], shape, FLAT, seed)

    value = once(0)
    np.testing.assert_array_equal(value, once(0))
    assert np.any(value != once(1))
    np.testing.assert_array_equal(value[2], 0)
    kept = np.tile([True, True, False, False], 3)
    np.testing.assert_array_equal(value[:2, kept], 1)
    assert len(np.unique(value[:2, ~kept])) == 12


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        (FLAT, FLAT.replace(embed_dim=7, mlp_ratio=(3.0,)), "has 8 entries, 7 in --network"),
        (FLAT, FLAT.replace(heads=(1,)), "block0_qkv/kernel has 24 entries, 12 in --network"),
        (
            FLAT.replace(heads=(2, 2), mlp_ratio=(2.0, 2.0)), FLAT,
            "flat has 2 blocks where --network has 1",
        ),
        (
            FLAT.replace(norm_after=True),
            FLAT.replace(norm_after=True, heads=(2, 2), mlp_ratio=(2.0, 2.0)),
            r"a new block \(block1\) of 'flat' has no residual",
        ),
        (STAGED, staged({}, {"depth": 2}, {}, {}), "stage1_block1"),
        (
            FLAT, FLAT.replace(ranks=(BlockRanks(qkv=3),)),
            "flat has no block0_qkv_a/kernel, which --network has",
        ),
        (STAGED, staged({"width": 6}, {}, {}, {}), "smaller in no part"),
        (SHORT, SHORT.replace(stem=(dataclasses.replace(STAGED.stem[0], channels=8),)),
         "staged has stage0_block0_short_bn/beta, which --network has not"),
    ],
)  # fmt: skip
def test_what_cannot_grow_is_one_line(small, large, message):
    assert not growth.other_fields(small, large)
    with pytest.raises(ModelNotFoundError, match=message) as error:
        list(both(small, large))
    assert "\n" not in str(error.value)


def test_other_fields_are_named():
    presets = (STAGED_PRESETS[name] for name in ("hybrid_32", "hybrid_32_wide"))
    assert growth.other_fields(*presets) == []
    assert growth.other_fields(FLAT, FLAT.replace(embed_dim=16, name="other")) == []
    assert growth.other_fields(FLAT, FLAT.replace(head_dim=8)) == ["head_dim"]
    other = staged({}, {}, {"position": False}, {})
    assert growth.other_fields(STAGED, other) == ["stages"]
    assert growth.other_fields(STAGED, STAGED.replace(image_size=16)) == ["image_size"]
    stem = (dataclasses.replace(STAGED.stem[0], kernel=5),)
    assert growth.other_fields(STAGED, STAGED.replace(stem=stem)) == ["stem"]
