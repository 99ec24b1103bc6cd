# SPDX-License-Identifier: Apache-2.0
"""Builds the Keras model of an architecture, for Keras 3 or tf_keras, and fills it with weights.

The model maps images (batch, size, size, channels), float32 in [-1, 1], and with `question` also
codes (batch, question), to logits (batch, num_classes), or to pictures of a dense head. Structure:
ViT with pre-norm blocks (Dosovitskiy et al., ICLR 2021), as in MCUFormer; attention width is heads
* head_dim whatever the token's width.
"""

from __future__ import annotations

import dataclasses
import types
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ArchConfig
from keras_models.blocks import NetworkBuilder, stem, transformer_block
from keras_models.layers import WIDE, is_keras_3, layers_for
from keras_models.staged import Architecture
from keras_models.staged_model import DEPTHWISE, stages
from keras_models.text_embedding import token_rows


def build_vit(
    arch: Architecture,
    keras_module: types.ModuleType | None = None,
    norm: str | None = None,
    *,
    drop_path: float = 0.0,
) -> Any:
    """Builds the model.

    Args:
      arch: the architecture.
      keras_module: `keras` (Keras 3, the default) or `tf_keras`. Both give the same weights in the
        same order, so `a.set_weights(b.get_weights())` carries a network across.
      norm: overrides `arch.norm`: "clean" or "keras".
      drop_path: rate at the last block; it rises linearly from 0 at the first. Training only.

    Returns:
      A functional model (batch, size, size, channels) -> (batch, *arch.output_shape); with
      `question` its inputs are (images, codes).
    """
    if keras_module is None:
        import keras as keras_module  # type: ignore[no-redef]
    if norm not in (None, "clean", "keras"):
        raise ValueError(f"build_vit norm: got {norm!r}, expected 'clean' or 'keras'")
    kit = layers_for(keras_module)
    build = NetworkBuilder(arch, kit, norm or arch.norm, drop_path)
    keras = kit.keras
    image = keras.layers.Input(
        shape=(arch.image_size, arch.image_size, arch.channels), name="image"
    )
    x = stem(build, image, arch.stem)
    inputs = image
    if arch.question:
        inputs = (image, keras.layers.Input(shape=(arch.question,), name="asked"))
    asked = inputs[1] if arch.question else None
    if isinstance(arch, ArchConfig):
        x = _one_stage(build, x, arch, asked)
    else:
        x = stages(build, x, arch, asked)
    exact = _head_type(keras)
    outputs = keras.layers.Dense(arch.head_outputs, name="head", **exact)(x)
    if arch.dense:
        shuffle = build.kit.PixelShuffle
        outputs = shuffle(arch.output_shape, arch.dense, name="picture", **exact)(outputs)
    return keras.Model(inputs, outputs, name=arch.name)


def _one_stage(build: NetworkBuilder, x: Any, arch: ArchConfig, asked: Any) -> Any:
    embed = _text_embedding if arch.vocabulary else _patch_embedding
    x = embed(build, x, arch)
    if asked is not None:
        x = _with_question(build, x, arch, asked)
    for index in range(arch.depth):
        x = transformer_block(build, x, arch.block(index), index)
    if not arch.norm_after:
        x = build.layer_norm("norm")(x)
    return x if arch.dense else build.kit.TokenPool(arch.pool, name="pool")(x)


def _with_question(build: NetworkBuilder, x: Any, arch: ArchConfig, asked: Any) -> Any:
    """The question's token before the patches, to each of which it is added as well, so that a
    patch can tell by itself whether it is asked about."""
    layers = build.kit.keras.layers
    token = layers.Dense(arch.embed_dim, name="question")(asked)
    token = layers.Reshape((1, arch.embed_dim), name="question_token")(token)
    x = layers.Add(name="question_add")([x, token])
    return layers.Concatenate(axis=1, name="question_and_patches")([token, x])


def _head_type(keras: Any) -> dict[str, Any]:
    """float32 where the rest computes in less: a loss needs more than eight bits of the logits."""
    mixed = is_keras_3(keras) and keras.config.dtype_policy().name not in WIDE
    return {"dtype": "float32"} if mixed else {}


def _patch_embedding(build: NetworkBuilder, x: Any, arch: ArchConfig) -> Any:
    layers = build.kit.keras.layers
    if arch.patch_padding:
        x = layers.ZeroPadding2D(arch.patch_padding, name="patch_padding")(x)
    x = layers.Conv2D(
        arch.embed_dim, arch.patch_size, strides=arch.patch_size, padding="valid", name="patch"
    )(x)
    x = layers.Reshape((arch.grid**2, arch.embed_dim), name="patch_tokens")(x)
    if arch.question:  # about places, which small noise was seen not to tell in any useful time
        return build.kit.PositionEmbedding(waves_of=arch.grid, name="embedding")(x)
    return build.kit.PositionEmbedding(cls_token=arch.class_token, name="embedding")(x)


def _text_embedding(build: NetworkBuilder, x: Any, arch: ArchConfig) -> Any:
    x = token_rows(build, x)
    return build.kit.PositionEmbedding(cls_token=arch.class_token, name="embedding")(x)


# ---- random weights ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Statistics:
    """Mean and standard deviation of a kind of weight; `per_fan_in` divides by sqrt(fan in)."""

    suffix: str
    mean: float
    std: float
    per_fan_in: bool = False


# First match by the end of "layer/weight" wins. Biases, gammas and betas are random as well: the
# TFLite converter folds zeros and ones away and the graph would not be the one of a trained model.
# q and k are wider than unit variance, as trained attention is (scores of standard deviation 2);
# the branches' last layers are narrower so that the residual stream grows slowly.
_STATISTICS = (
    _Statistics("_qkv/kernel", 0.0, 1.4, True),
    _Statistics("_q/kernel", 0.0, 1.4, True),
    _Statistics("_k/kernel", 0.0, 1.4, True),
    _Statistics("_proj/kernel", 0.0, 0.5, True),
    _Statistics("_fc2/kernel", 0.0, 0.7, True),
    _Statistics("kernel", 0.0, 1.0, True),
    _Statistics("gamma", 1.0, 0.2),
    _Statistics("beta", 0.0, 0.1),
    _Statistics("bias", 0.0, 0.1),
    _Statistics("bias_table", 0.0, 0.5),
    _Statistics("position_keys", 0.0, 0.3),
    _Statistics("position_values", 0.0, 0.3),
    _Statistics("moving_mean", 0.0, 0.1),
    _Statistics("moving_variance", 1.0, 0.1),
    _Statistics("embeddings", 0.0, 1.0),
    _Statistics("position", 0.0, 0.2),
    _Statistics("cls", 0.0, 0.5),
)


NamedWeights = dict[str, NDArray[np.float32]]


def weight_name(weight: Any) -> str:
    """The name as layer/weight, the same in Keras 3 and tf_keras."""
    path = weight.path if hasattr(weight, "path") else weight.name
    return str(path).split(":")[0].replace("/depthwise_kernel", "/kernel")


def named_weights(model: Any) -> NamedWeights:
    """A model's weights by layer/weight, in the order of `get_weights`."""
    names = [weight_name(weight) for weight in model.weights]
    return dict(zip(names, model.get_weights(), strict=True))


def copy_weights(source: Any, target: Any) -> None:
    """Gives a model another one's weights, layer by layer.

    By name, since layers of drop path change the order in which a model with convolutions side by
    side has its others.
    """
    values = named_weights(source)
    target.set_weights([values[name] for name in named_weights(target)])


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    """Inputs that one output sums over: all axes but the last of a kernel.

    `MultiHeadAttention` keeps heads apart: q, k and v kernels are (dim, heads, head_dim). Depthwise
    kernels are (height, width, channels, 1).
    """
    if name.endswith(f"{DEPTHWISE}/kernel"):
        return shape[0] * shape[1]
    if len(shape) == 3 and "attention_output" not in name:
        return shape[0]
    return int(np.prod(shape[:-1]))


def random_weights(model: Any, seed: int) -> Any:
    """Fills every weight with numbers of ViT-like statistics; the same seed gives the same network.

    A weight depends on the seed, its name and its shape only, so Keras 3, tf_keras and every
    backend agree.

    Returns:
      The model.
    """
    values = []
    for weight in model.weights:
        name, shape = weight_name(weight), tuple(int(n) for n in weight.shape)
        rule = next((rule for rule in _STATISTICS if name.endswith(rule.suffix)), None)
        if rule is None:
            raise ValueError(f"random_weights: no statistics for weight {name!r} {shape}")
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        std = rule.std / np.sqrt(_fan_in(name, shape)) if rule.per_fan_in else rule.std
        values.append((rule.mean + std * rng.standard_normal(shape)).astype(np.float32))
    model.set_weights(values)
    return model
