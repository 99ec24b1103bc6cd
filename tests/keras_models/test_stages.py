# SPDX-License-Identifier: Apache-2.0
"""Architectures of several stages: validation, JSON, sizes, both Kerases, convolutions by NumPy."""

import dataclasses
import json

import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings

from keras_models.load import (
    ARCH_FILE,
    ModelNotFoundError,
    expect_one_stage,
    resolve_arch,
    resolve_network,
)
from keras_models.parts import ArchError, BlockRanks, StemLayer
from keras_models.presets import get_preset
from keras_models.staged import StagedConfig
from keras_models.staged_presets import STAGED_PRESETS
from keras_models.stages import AttentionStage, ConvStage
from keras_models.vit import build_vit, random_weights, weight_name
from tests.keras_models.staged_archs import staged_archs

TEST = STAGED_PRESETS["test_stages"]
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"stages": 3}', r"ArchConfig\.stages: got 3, expected a list"),
        ('{"stages": [3]}', r"stages\[0\]: got 3, expected a JSON object"),
        ('{"stages": [{"width": 3}]}', r"stages\[0\]\.blocks: got None, expected one of residual"),
        ('{"stages": [{"blocks": "residual"}]}', r"stages\[0\]: got .* expected all fields"),
        ('{"stages": [{"blocks": "residual", "widht": 3}]}', r"stages\[0\]\.widht: unknown field"),
        ('{"stages": [{"blocks": "attention", "heads": 3}]}', r"heads: got 3, expected a list"),
        ('{"stages": [], "embed_dim": 3}', r"embed_dim: unknown field, expected one of"),
    ],
)
def test_json_errors(text, message):
    with pytest.raises(ArchError, match=message):
        StagedConfig.from_json(text)


@given(staged_archs())
@settings(max_examples=8, deadline=None)
def test_parameters_and_shapes_are_the_models(arch):
    model = build_vit(arch)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == arch.params
    assert model.output_shape == (None, arch.num_classes)


def test_tf_keras_is_the_same_network():
    three = random_weights(build_vit(TEST), seed=5)
    two = build_vit(TEST, tf_keras)
    assert [weight_name(w) for w in two.weights] == [weight_name(w) for w in three.weights]
    two.set_weights(three.get_weights())
    expected = np.asarray(three(images(TEST)))
    np.testing.assert_allclose(np.asarray(two(images(TEST))), expected, atol=1e-5)
    again = random_weights(build_vit(TEST, tf_keras), seed=5)
    np.testing.assert_allclose(np.asarray(again(images(TEST))), expected, atol=1e-5)


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


def test_merged_patches_are_rows_of_neighbours():
    from keras_models.layers import layers_for

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
