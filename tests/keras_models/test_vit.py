# SPDX-License-Identifier: Apache-2.0
"""The builder: parameter counts, Keras 3 against tf_keras, an independent NumPy forward pass."""

import keras
import numpy as np
import pytest
import scipy.special
import tf_keras

from keras_models.load import (
    ARCH_FILE,
    WEIGHTS_FILE,
    ModelNotFoundError,
    load_trained,
    resolve_arch,
    resolve_model,
)
from keras_models.presets import PRESETS, get_preset
from keras_models.vit import build_vit, random_weights, weight_name

SMALL = [name for name in PRESETS if name.startswith("test_")]


def images(arch, count=2):
    shape = (count, arch.image_size, arch.image_size, arch.channels)
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.parametrize("name", [*SMALL, "vit_digits", "vit_micro_32", "vit_t_240"])
def test_parameters_follow_the_formula(name):
    arch = get_preset(name)
    assert trainable(build_vit(arch)) == arch.params


@pytest.mark.parametrize("name", SMALL)
def test_tf_keras_is_the_same_network(name):
    arch = get_preset(name)
    three = random_weights(build_vit(arch), seed=5)
    two = build_vit(arch, tf_keras)
    assert [weight_name(w) for w in two.weights] == [weight_name(w) for w in three.weights]
    two.set_weights(three.get_weights())
    x = images(arch)
    expected = np.asarray(three(x))
    np.testing.assert_allclose(np.asarray(two(x)), expected, atol=1e-5)
    # Random weights depend on names alone, so both kerases draw the same network.
    again = random_weights(build_vit(arch, tf_keras), seed=5)
    np.testing.assert_allclose(np.asarray(again(x)), expected, atol=1e-5)


def reference(arch, weights, x):
    """The dense, packed, mean-pooled ViT written down directly, in float64."""

    def norm(t, name):
        centred = t - t.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + arch.norm_epsilon)
        return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    def linear(t, name):
        return t @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    p, g = arch.patch_size, arch.grid
    patches = x.reshape(-1, g, p, g, p, arch.channels).transpose(0, 1, 3, 2, 4, 5)
    kernel = weights["patch/kernel"].reshape(-1, arch.embed_dim)
    t = patches.reshape(len(x), g * g, -1) @ kernel + weights["patch/bias"]
    t = t + weights["embedding/position"]
    for block in range(arch.depth):
        name, heads, width = f"block{block}", arch.heads[block], arch.inner_dim(block)
        qkv = linear(norm(t, f"{name}_norm1"), f"{name}_qkv")
        out = np.empty((*t.shape[:2], width))
        for h in range(heads):
            q, k, v = (
                qkv[..., part * width + h * arch.head_dim :][..., : arch.head_dim]
                for part in range(3)
            )
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(arch.head_dim)
            out[..., h * arch.head_dim : (h + 1) * arch.head_dim] = (
                scipy.special.softmax(scores, -1) @ v
            )
        t = t + linear(out, f"{name}_proj")
        hidden = linear(norm(t, f"{name}_norm2"), f"{name}_fc1")
        hidden = hidden * 0.5 * (1 + scipy.special.erf(hidden / np.sqrt(2)))
        t = t + linear(hidden, f"{name}_fc2")
    return linear(norm(t, "norm").mean(1), "head")


@pytest.mark.parametrize("name", ["test_tiny", "test_keras_norm"])
def test_forward_pass_against_numpy(name):
    arch = get_preset(name)
    model = random_weights(build_vit(arch), seed=2)
    weights = {weight_name(w): np.asarray(w, np.float64) for w in model.weights}
    x = images(arch)
    np.testing.assert_allclose(
        np.asarray(model(x)), reference(arch, weights, x.astype(np.float64)), atol=2e-5
    )


def test_separate_qkv_is_packed_qkv_cut_in_three():
    packed, separate = get_preset("test_tiny"), get_preset("test_separate_qkv")
    a, b = random_weights(build_vit(packed), 0), build_vit(separate)
    values = {}
    for weight in a.weights:
        layer, _, kind = weight_name(weight).partition("/")
        if layer.endswith("_qkv"):
            thirds = np.split(np.asarray(weight), 3, axis=-1)
            values.update(
                {f"{layer[:-3]}{p}/{kind}": t for p, t in zip("qkv", thirds, strict=True)}
            )
        else:
            values[f"{layer}/{kind}"] = np.asarray(weight)
    b.set_weights([values[weight_name(w)] for w in b.weights])
    x = images(packed)
    np.testing.assert_allclose(np.asarray(a(x)), np.asarray(b(x)), atol=1e-5)


def test_random_weights_are_random_deterministic_and_vit_like():
    arch = get_preset("vit_digits")
    model = random_weights(build_vit(arch), seed=1)
    first = model.get_weights()
    for weight, value in zip(model.weights, first, strict=True):
        assert value.std() > 0, weight_name(weight)  # no zeros, no ones: nothing folds away
    again = random_weights(build_vit(arch), seed=1).get_weights()
    other = random_weights(build_vit(arch), seed=2).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    logits = np.asarray(model(images(arch, 16)))
    assert 0.05 < logits.std() < 20


def test_drop_path_adds_no_weights_and_is_off_at_inference():
    arch = get_preset("test_tiny")
    plain = random_weights(build_vit(arch), 0)
    dropping = build_vit(arch, drop_path=0.9)
    dropping.set_weights(plain.get_weights())
    x = images(arch)
    np.testing.assert_array_equal(np.asarray(plain(x)), np.asarray(dropping(x)))
    assert not np.allclose(np.asarray(plain(x)), np.asarray(dropping(x, training=True)))


def test_norm_override():
    arch = get_preset("test_tiny")
    with pytest.raises(ValueError, match="norm: got 'x'"):
        build_vit(arch, norm="x")
    names = {type(layer).__name__ for layer in build_vit(arch, norm="keras").layers}
    assert "LayerNormalization" in names
    assert "LayerNorm" not in names


@pytest.mark.parametrize("name", ["test_mixed", "test_keras_mha", "test_stem"])
def test_load_trained_in_both_kerases(name, tmp_path):
    arch, model = resolve_model(name, "random", 7)
    arch.save(tmp_path / ARCH_FILE)
    model.save_weights(tmp_path / WEIGHTS_FILE)
    x = images(arch)
    for module in (keras, tf_keras):
        found, loaded = load_trained(str(tmp_path), module)
        assert found == arch
        np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(model(x)), atol=1e-5)
    _, by_file = resolve_model(name, str(tmp_path / WEIGHTS_FILE))
    np.testing.assert_allclose(np.asarray(by_file(x)), np.asarray(model(x)), atol=1e-6)


def test_resolve_errors_name_what_is_missing(tmp_path):
    with pytest.raises(ModelNotFoundError, match=r"'nope'.*vit_digits"):
        resolve_arch("nope")
    with pytest.raises(ModelNotFoundError, match="no trained weights"):
        resolve_model("test_tiny")
    with pytest.raises(ModelNotFoundError, match=r"gone\.weights\.h5: no such weights file"):
        resolve_model("test_tiny", str(tmp_path / "gone.weights.h5"))
    bad = tmp_path / "bad.weights.h5"
    bad.write_bytes(b"not hdf5")
    with pytest.raises(ModelNotFoundError, match=r"bad\.weights\.h5: not weights"):
        resolve_model("test_tiny", str(bad))
    with pytest.raises(ModelNotFoundError, match="no such directory"):
        load_trained(str(tmp_path / "gone"))
