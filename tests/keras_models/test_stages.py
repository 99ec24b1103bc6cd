# SPDX-License-Identifier: Apache-2.0
"""Architectures of several stages: validation, JSON, sizes, both Kerases, convolutions by NumPy."""

import dataclasses
import json

import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings

from keras_models.layers import layers_for
from keras_models.load import (
    ARCH_FILE,
    ModelNotFoundError,
    expect_one_stage,
    resolve_arch,
    resolve_network,
)
from keras_models.parts import ArchError, BlockRanks, StemLayer
from keras_models.presets import get_preset
from keras_models.published_presets import PUBLISHED_PRESETS
from keras_models.staged import StagedConfig
from keras_models.staged_presets import STAGED_PRESETS
from keras_models.stages import AttentionStage, ConvStage
from keras_models.vit import build_vit, random_weights, weight_name
from tests.keras_models.staged_archs import staged_archs

HYBRID = STAGED_PRESETS["hybrid_32"]


def images(arch, count=2):
    shape = (count, arch.image_size, arch.image_size, arch.channels)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


@given(staged_archs())
@settings(max_examples=50, deadline=None)
def test_json_round_trip(arch):
    assert StagedConfig.from_json(arch.to_json()) == arch


def test_folders_and_files_are_resolved_by_their_content(tmp_path):
    HYBRID.save(tmp_path / ARCH_FILE)
    assert resolve_arch(str(tmp_path)) == resolve_arch("hybrid_32") == HYBRID
    flat = get_preset("test_mixed")
    flat.save(tmp_path / ARCH_FILE)
    assert resolve_network(str(tmp_path / ARCH_FILE)) == flat
    assert "stages" not in json.loads(flat.to_json())  # files of one stage are what they were
    (tmp_path / ARCH_FILE).write_text('{"stages": []}')
    with pytest.raises(ArchError, match=r"arch\.json: ArchConfig\.stages: got \(\), expected"):
        resolve_arch(str(tmp_path))
    assert expect_one_stage(flat, "--qat") is flat
    with pytest.raises(ModelNotFoundError, match="--qat: 'hybrid_32' has 3 stages, expected"):
        expect_one_stage(HYBRID, "--qat")


CONV = ConvStage("residual", width=8)
ATTENTION = AttentionStage.uniform(width=8, depth=1, heads=1)


@pytest.mark.parametrize(
    ("stages", "field", "got"),
    [
        ((), "stages", "()"),
        ((3,), "stages[0]", "3"),
        ((ConvStage("dense", 8),), "stages[0].blocks", "'dense'"),
        ((ConvStage("residual", 0),), "stages[0].width", "0"),
        ((ConvStage("residual", 8, depth=0),), "stages[0].depth", "0"),
        ((ConvStage("residual", 8, stride=3),), "stages[0].stride", "3"),
        ((CONV, AttentionStage.uniform(width=9, depth=1, heads=1)), "stages[1].width", "9"),
        ((CONV, dataclasses.replace(ATTENTION, stride=2)), "stages[1].stride", "2"),
        ((dataclasses.replace(ATTENTION, down="pool"),), "stages[0].down", "'pool'"),
        ((dataclasses.replace(ATTENTION, down="merge", stride=5),), "stages[0].stride", "5"),
        ((CONV, ATTENTION, CONV), "stages[2].blocks", "'residual'"),
        ((CONV, dataclasses.replace(ATTENTION, heads=())), "stages[1].heads", "()"),
        ((CONV, dataclasses.replace(ATTENTION, mlp_ratio=(0.3,))), "stages[1].mlp_ratio[0]", "0.3"),
        ((CONV, dataclasses.replace(ATTENTION, mlp_ratio=())), "stages[1].mlp_ratio", "()"),
        ((CONV, dataclasses.replace(ATTENTION, position=1)), "stages[1].position", "1"),
        ((CONV, dataclasses.replace(ATTENTION, window=5)), "stages[1].window", "5"),
        ((CONV, dataclasses.replace(ATTENTION, window=32)), "stages[1].window", "32"),
        ((CONV, dataclasses.replace(ATTENTION, shift=True)), "stages[1].shift", "True"),
        (
            (CONV, dataclasses.replace(ATTENTION, relative_position=65)),
            "stages[1].relative_position",
            "65",
        ),
        (
            (CONV, dataclasses.replace(ATTENTION, bias=True, relative_position=3)),
            "stages[1].relative_position",
            "3",
        ),
        (
            (CONV, dataclasses.replace(ATTENTION, ranks=(BlockRanks(proj=9),))),
            "stages[1].ranks[0].proj",
            "9",
        ),
    ],
)
def test_errors_name_field_value_and_expectation(stages, field, got):
    with pytest.raises(ArchError) as error:
        HYBRID.replace(stages=stages)
    message = str(error.value)
    assert message.startswith(f"ArchConfig.{field}: got {got}")
    assert ", expected " in message


def test_attention_of_keras_knows_no_grid():
    for field in ({"window": 4}, {"bias": True}, {"relative_position": 2}):
        stages = (CONV, dataclasses.replace(ATTENTION, **field))
        with pytest.raises(ArchError, match=rf"stages\[1\]\.{next(iter(field))}: got"):
            HYBRID.replace(attention="keras", stages=stages)


def test_fields_that_came_later_are_in_files_that_use_them_only():
    assert "relative_position" not in get_preset("vit_digits").to_json()
    assert "relative_position" in PUBLISHED_PRESETS["test_relative"].to_json()
    stages = json.loads(PUBLISHED_PRESETS["test_windows"].to_json())["stages"]
    assert stages[0]["window"] == 4
    assert "window" not in stages[1]
    assert HYBRID.tree()["stages"][2].keys().isdisjoint({"window", "shift", "bias", "norm"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"stages": 3}', r"ArchConfig\.stages: got 3, expected a list"),
        ('{"stages": [3]}', r"stages\[0\]: got 3, expected a JSON object"),
        ('{"stages": [{"width": 3}]}', r"stages\[0\]\.blocks: got None, expected one of residual"),
        ('{"stages": [{"blocks": "residual"}]}', r"stages\[0\]: got .* expected all fields"),
        ('{"stages": [{"blocks": "residual", "widht": 3}]}', r"stages\[0\]\.widht: unknown field"),
        ('{"stages": [{"blocks": "attention", "heads": 3}]}', r"heads: got 3, expected a list"),
        ('{"stages": [], "mlp_ratio": 3}', r"mlp_ratio: unknown field, expected one of"),
    ],
)
def test_json_errors(text, message):
    with pytest.raises(ArchError, match=message):
        StagedConfig.from_json(text)


@given(staged_archs())
@settings(max_examples=5, deadline=None)
def test_parameters_and_shapes_are_the_models(arch):
    model = build_vit(arch)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == arch.params
    assert model.output_shape == (None, arch.num_classes)


@pytest.mark.parametrize("name", ["test_stages", "test_windows", "test_relative"])
def test_tf_keras_is_the_same_network(name):
    arch = resolve_arch(name)
    three = random_weights(build_vit(arch), seed=5)
    two = random_weights(build_vit(arch, tf_keras), seed=5)
    assert [weight_name(w) for w in two.weights] == [weight_name(w) for w in three.weights]
    expected = np.asarray(three(images(arch)))
    np.testing.assert_allclose(np.asarray(two(images(arch))), expected, atol=1e-5)


def convolved(x, kernel, stride):
    """`same` convolution of (height, width, inputs) by taps, in float64."""
    size, side = kernel.shape[0], -(-x.shape[0] // stride)
    before = max(0, (side - 1) * stride + size - x.shape[0]) // 2
    padded = np.pad(x, ((before, size), (before, size), (0, 0)))
    span = stride * (side - 1) + 1
    return sum(
        padded[i : i + span : stride, j : j + span : stride] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def test_convolution_stages_against_numpy():
    arch = StagedConfig(
        image_size=8,
        num_classes=3,
        stages=(ConvStage("residual", 6, 2, 2), ConvStage("separable", 5, 1, 2)),
    )
    model = random_weights(build_vit(arch), seed=3)
    weights = {weight_name(w): np.asarray(w, np.float64) for w in model.weights}

    def layer(x, name, stride=1):
        kernel = weights[f"{name}_conv/kernel"]
        if "_depth" in name:
            kernel = kernel[..., 0][..., None] * np.eye(kernel.shape[2])
        bn = {key: weights[f"{name}_bn/{key}"] for key in ("gamma", "beta", "moving_mean")}
        deviation = np.sqrt(weights[f"{name}_bn/moving_variance"] + 1e-3)
        centred = convolved(x, kernel, stride) - bn["moving_mean"]
        return centred / deviation * bn["gamma"] + bn["beta"]

    def relu(x):
        return np.maximum(x, 0)

    for image, got in zip(images(arch), np.asarray(model(images(arch))), strict=True):
        x = image.astype(np.float64)
        for block, stride in ((0, 2), (1, 1)):
            name = f"stage0_block{block}"
            short = layer(x, f"{name}_short", stride) if stride == 2 else x
            y = layer(relu(layer(x, f"{name}_a", stride)), f"{name}_b")
            x = relu(short + y)
        x = relu(layer(x, "stage1_block0_depth", 2))
        x = relu(layer(x, "stage1_block0_point"))
        logits = x.mean((0, 1)) @ weights["head/kernel"] + weights["head/bias"]
        np.testing.assert_allclose(got, logits, atol=2e-5)


def attended(q, k, v, bias, seen):
    """One head in float64: bias [tokens, tokens] on the scores, `seen` of that shape."""
    scores = np.where(seen, q @ k.T / np.sqrt(q.shape[1]) + bias, -np.inf)
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True) @ v


def grid_layer(rng, **fields):
    """The layer with random weights, packed q, k and v of 2 heads of 3, and them by head."""
    keras = layers_for(tf_keras)
    layer = keras.GridDotProduct(2, 3, **fields)
    tokens = fields.get("prefix", 0) + fields["side"] ** 2
    qkv = rng.normal(size=(2, tokens, 18)).astype(np.float32)
    window = fields.get("window")
    cut = (fields["side"], window, fields.get("shift", 0))
    x = keras.Windows(*cut)(qkv) if window else qkv
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    y = layer(x)
    y = np.asarray(keras.Windows(*cut, back=True)(y) if window else y)
    parts = qkv.astype(np.float64).reshape(2, tokens, 3, 2, 3).transpose(0, 3, 2, 1, 4)
    return layer, parts, y.reshape(2, tokens, 2, 3).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_windows_see_what_lies_near(shift):
    side, window = 6, 3
    layer, parts, y = grid_layer(
        np.random.default_rng(shift), side=side, window=window, shift=shift, bias=True
    )
    table = np.asarray(layer.weights[0], np.float64).reshape(2 * window - 1, 2 * window - 1, 2)
    at = np.stack(np.divmod(np.arange(side**2), side), 1)
    # Windows begin at `shift`; what is left at the edges are smaller ones.
    place = (at - shift) // window
    seen = (place[:, None] == place[None, :]).all(-1)
    away = np.clip(at[:, None] - at[None, :] + window - 1, 0, 2 * window - 2)
    for image in range(2):
        for head in range(2):
            bias = table[away[..., 0], away[..., 1], head]
            expected = attended(*parts[image, head], bias, seen)
            np.testing.assert_allclose(y[image, head], expected, atol=1e-5)


@pytest.mark.parametrize(("prefix", "largest"), [(0, 1), (1, 1), (1, 5), (2, 2)])
def test_relative_keys_and_values_by_distance(prefix, largest):
    side = 4
    layer, parts, y = grid_layer(
        np.random.default_rng(largest), side=side, prefix=prefix, relative=largest
    )
    keys, values = (np.asarray(w, np.float64) for w in layer.weights)
    tokens = prefix + side**2
    for image in range(2):
        for head in range(2):
            q, k, v = parts[image, head]
            for i in range(tokens):
                entry = np.zeros((2, tokens), int)
                for j in range(prefix, tokens if i >= prefix else 0):
                    a, b = divmod(i - prefix, side), divmod(j - prefix, side)
                    for axis in range(2):
                        distance = min(max(b[axis] - a[axis], -largest), largest)
                        entry[axis, j] = distance + largest + 1
                near = k + keys[0][entry[0]] + keys[1][entry[1]]
                far = v + values[0][entry[0]] + values[1][entry[1]]
                expected = attended(q[i : i + 1], near, far, 0.0, True)
                np.testing.assert_allclose(y[image, head, i], expected[0], atol=1e-5)


def test_published_sizes():
    """Millions of parameters as their authors count them: AutoFormer-T 5.7 (5.8 in its README)
    without and with the tables, S3-T 28."""
    autoformer, s3 = PUBLISHED_PRESETS["autoformer_t"], PUBLISHED_PRESETS["s3_t"]
    assert autoformer.tokens == 197
    tables = autoformer.params - autoformer.replace(relative_position=0).params
    assert tables == 13 * 2 * 2 * (2 * 14 + 2) * 64
    assert (autoformer.params, s3.params) == (5_867_944, 28_328_674)
    assert [grid.side for grid in s3.sources[1:]] == [56, 28, 14, 7]


def test_merged_patches_are_rows_of_neighbours():
    merge = layers_for(tf_keras).PatchMerge(4, 2)
    x = np.arange(16 * 3, dtype=np.float32).reshape(1, 16, 3)
    by_pixel = x.reshape(4, 4, 3)
    first = np.concatenate([by_pixel[2, 0], by_pixel[2, 1], by_pixel[3, 0], by_pixel[3, 1]])
    merged = np.asarray(merge(x))
    assert merged.shape == (1, 4, 12)
    np.testing.assert_array_equal(merged[0, 2], first)


def test_the_hybrid_is_what_it_says():
    assert HYBRID.sources[-1].side == 8
    assert (HYBRID.params, HYBRID.macs) == (440_234, 45_515_712)
    assert HYBRID.tokens == 64
    # Weights as bytes, and for each channel a bias and a multiplier of eight bytes: with 50 KB of
    # code below the 512,024 bytes.
    assert HYBRID.params < 512_024 - 60_000


def test_the_trial_by_hand_can_be_stated():
    """454,154 parameters, as counted elsewhere."""
    attention = AttentionStage.uniform(width=96, depth=3, heads=3, mlp_ratio=3.0, position=True)
    trial = HYBRID.replace(
        stages=(ConvStage("residual", 48, 1, 2), ConvStage("residual", 96, 1, 2), attention),
        stem=(StemLayer(3, 1, 32, batch_norm=True),),
    )
    assert trial.params == 454_154
