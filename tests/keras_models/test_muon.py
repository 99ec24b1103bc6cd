# SPDX-License-Identifier: Apache-2.0
"""Muon: orthogonal steps of kernels, AdamW's of all else, at rates that go over."""

import os

import hypothesis as hyp
import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_models.arch import ArchConfig
from keras_models.datasets import load_dataset
from keras_models.load import build_network, resolve_network
from keras_models.training.checkpoint import CHECKPOINT_FILE, read_progress, save_checkpoint
from keras_models.training.fit import TrainJob, fit
from keras_models.training.muon import Muon, moves_as_matrix, orthogonal
from keras_models.training.optimizer import make_optimizer
from keras_models.training.recipe import Recipe, RecipeError, parse_overrides, recipe_for

TINY = ArchConfig.uniform(
    name="tiny", image_size=8, channels=1, num_classes=10, patch_size=4, embed_dim=16, depth=1,
    heads=2, mlp_ratio=2.0,
)  # fmt: skip


@hyp.given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
@hyp.settings(max_examples=60, deadline=None)
def test_singular_values_become_alike_and_directions_stay(rows, columns, seed):
    """Of matrices whose singular values are at most 30 times apart: five iterations do no more."""
    rng = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(rng.standard_normal((rows, columns)), full_matrices=False)
    before = np.exp(rng.uniform(0, np.log(30), min(rows, columns)))
    found = np.asarray(orthogonal(((u * before) @ v).astype(np.float32)))
    values = np.linalg.svd(found)[1]
    assert values.min() > 0.5
    assert values.max() < 1.3
    np.testing.assert_allclose(u.T @ found @ v.T, np.diag(np.diag(u.T @ found @ v.T)), atol=2e-3)


def moved(name):
    network = build_network(resolve_network(name))
    return {v.path: moves_as_matrix(v) for v in network.trainable_variables}


def test_kernels_of_the_body_move_as_matrices():
    found = moved("hybrid_32_wide") | moved("vit_digits")
    assert {path.split("/")[0] for path, matrix in found.items() if not matrix and "kernel" in path}
    for path, matrix in found.items():
        layer, name = path.split("/")
        expected = name == "kernel" and not layer.startswith(("stem", "patch", "head"))
        assert matrix == expected, path


@pytest.mark.parametrize("layer", ["head", "stems0_patch", "block0_fc1"])
def test_a_supernets_first_and_last_layer_do_not(layer):
    """Its weights are one Keras layer's, whose path does not end in that of the plain network."""
    weights = keras.layers.Layer(name="supernet")
    kernel = weights.add_weight(name=f"{layer}_kernel", shape=(8, 8))
    assert kernel.path == f"supernet/{layer}_kernel"
    assert moves_as_matrix(kernel) == (layer == "block0_fc1")


def test_depthwise_kernels_do_not():
    layer = keras.layers.DepthwiseConv2D(3)
    layer.build((None, 8, 8, 4))
    assert not any(moves_as_matrix(v) for v in layer.trainable_variables)


def stepped(optimizer, gradients, start):
    """Values of a dense layer's kernel and bias after a step."""
    layer = keras.layers.Dense(start[1].size, name="block0_fc1")
    layer.build((None, start[0].shape[0]))
    layer.set_weights(start)
    optimizer.apply(gradients, layer.trainable_variables)
    return layer.get_weights()


def arrays(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_step_is_as_large_as_adamws_whatever_the_gradient(scale):
    rate, start = 0.01, arrays(0, (48, 96), (96,))
    gradients = [g * np.float32(scale) for g in arrays(1, (48, 96), (96,))]
    muon = stepped(Muon(rate, weight_decay=0.0), gradients, start)
    adam = stepped(keras.optimizers.AdamW(rate, weight_decay=0.0), gradients, start)
    np.testing.assert_allclose(muon[1], adam[1], rtol=1e-6)  # the bias is AdamW's
    size = np.sqrt(np.mean((muon[0] - start[0]) ** 2))
    assert size == pytest.approx(0.2 * rate, rel=0.15)
    step = (start[0] - muon[0]) / (0.2 * rate * 96**0.5)
    assert np.linalg.svd(step)[1].min() > 0.4  # AdamW's first step is a matrix of signs: 0.02
    assert np.linalg.svd((start[0] - adam[0]) / (rate * 96**0.5))[1].min() < 0.4


@pytest.mark.parametrize(("against", "steps"), [(0.45, 2), (0.47, 0)])
def test_old_gradients_count_as_momentum_says(against, steps):
    """After g, -k g: the step is that of (0.95 * 0.95 - 1.95 k) g, whose sign turns at 0.4628."""
    gradients, start = arrays(2, (16, 24), (24,)), arrays(3, (16, 24), (24,))
    once = stepped(Muon(0.01, weight_decay=0.0), gradients, start)[0]
    optimizer = Muon(0.01, weight_decay=0.0)
    layer = keras.layers.Dense(24, name="block0_fc1")
    layer.build((None, 16))
    layer.set_weights(start)
    for factor in (1.0, -against):
        optimizer.apply([np.float32(factor) * g for g in gradients], layer.trainable_variables)
    expected = start[0] + steps * (once - start[0])
    np.testing.assert_allclose(layer.get_weights()[0], expected, atol=1e-5)


def test_kernels_decay_and_biases_do_not():
    optimizer = make_optimizer(
        Recipe(optimizer="muon", learning_rate=0.1, warmup_epochs=0, weight_decay=0.5), 10
    )
    assert isinstance(optimizer, Muon)
    start = arrays(4, (8, 8), (8,))
    found = stepped(optimizer, [np.zeros_like(a) for a in start], start)
    np.testing.assert_allclose(found[0], start[0] * 0.95, rtol=1e-5)
    np.testing.assert_array_equal(found[1], start[1])


def test_a_training_goes_on_to_the_bit(tmp_path):
    digits = load_dataset("digits", image_size=8, channels=1)
    recipe = recipe_for("tiny", "digits", epochs=2, optimizer="muon", batch_size=256)

    def trained(folder, resume=False):
        os.makedirs(folder, exist_ok=True)
        job = TrainJob(
            arch=TINY, recipe=recipe, dataset="digits", data_dir="", seed=3, out=str(folder),
            checkpoint_every=1, jit=False,
        )  # fmt: skip
        return fit(job, digits, resume)

    kept = {}

    def keep_the_first(path, model, progress):
        save_checkpoint(path, model, progress)
        if progress.epochs_done == 1:
            with open(path, "rb") as file:
                kept["first"] = file.read()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_models.training.callbacks.save_checkpoint", keep_the_first)
        whole, progress = trained(tmp_path / "whole")
    (tmp_path / "halved").mkdir()
    (tmp_path / "halved" / CHECKPOINT_FILE).write_bytes(kept["first"])
    assert read_progress(str(tmp_path / "halved" / CHECKPOINT_FILE)).epochs_done == 1
    gone_on, _ = trained(tmp_path / "halved", resume=True)
    for one, other in zip(whole.get_weights(), gone_on.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]


def test_records_say_which_and_those_of_before_hold():
    """A set-up without the field is AdamW's: its checkpoint goes on, its supernet is the same."""
    assert "optimizer" not in Recipe().tree()
    assert Recipe(**Recipe().tree()) == Recipe()
    muon = Recipe(optimizer="muon")
    assert Recipe(**muon.tree()) == muon
    assert muon.tree() != Recipe().tree()


def test_an_optimizer_that_is_none_is_named():
    with pytest.raises(RecipeError, match="optimizer: got 'sgd', expected one of adamw, muon"):
        Recipe(**parse_overrides(["optimizer=sgd"]))
