# SPDX-License-Identifier: Apache-2.0
"""What the foreign networks share, in Keras layers only: none of this toolkit's takes part."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def mlp(x: Any, hidden: int, activation: str = "gelu") -> Any:
    """Two dense layers, back to the width of x."""
    return layers.Dense(x.shape[-1])(layers.Dense(hidden, activation=activation)(x))


def swiglu(x: Any, hidden: int) -> Any:
    gate = layers.Dense(hidden, activation="silu", use_bias=False)(x)
    return layers.Dense(x.shape[-1], use_bias=False)(gate * layers.Dense(hidden, use_bias=False)(x))


def attention(x: Any, heads: int, memory: Any = None, **options: Any) -> Any:
    """Keras' own layer, to itself or to `memory`."""
    layer = layers.MultiHeadAttention(heads, x.shape[-1] // heads)
    return layer(x, x if memory is None else memory, **options)


def pre_norm(x: Any, heads: int, hidden: int, norm: Any = layers.LayerNormalization) -> Any:
    """A block of a Vision Transformer."""
    x = x + attention(norm()(x), heads)
    return x + mlp(norm()(x), hidden)


def patches(image: Any, size: int, width: int) -> Any:
    """Tokens with learned positions."""
    x = layers.Conv2D(width, size, strides=size)(image)
    x = layers.Reshape((-1, width))(x)
    return Positions()(x)


def split_heads(x: Any, heads: int) -> Any:
    """[batch, tokens, width] to [batch, heads, tokens, width / heads]."""
    x = layers.Reshape((x.shape[1], heads, x.shape[2] // heads))(x)
    return ops.transpose(x, (0, 2, 1, 3))


def merge_heads(x: Any) -> Any:
    x = ops.transpose(x, (0, 2, 1, 3))
    return layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)


def weighted(q: Any, k: Any, v: Any, bias: Any = None) -> Any:
    """softmax(q k' / sqrt(d) + bias) v, all [batch, heads, tokens, d]."""
    scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * float(q.shape[-1]) ** -0.5
    return ops.matmul(ops.softmax(scores if bias is None else scores + bias), v)


def rotated(x: Any, base: float = 10000.0) -> Any:
    """Rotary position embedding of [batch, heads, tokens, d], halves paired as in Llama."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[2])[:, np.newaxis] * base ** (-np.arange(half) / half)
    cos, sin = (np.tile(f(angle), 2).astype(np.float32) for f in (np.cos, np.sin))
    turned = ops.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return x * cos + turned * sin


def rotary_attention(x: Any, heads: int, bias: Any = None) -> Any:
    q, k, v = (split_heads(layers.Dense(x.shape[-1], use_bias=False)(x), heads) for _ in range(3))
    return layers.Dense(x.shape[-1])(merge_heads(weighted(rotated(q), rotated(k), v, bias)))


@keras.saving.register_keras_serializable("foreign")
class Positions(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A learned vector for each token."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(1, *shape[1:]), name="table", initializer="normal")

    def call(self, x: Any) -> Any:
        return x + self.table


@keras.saving.register_keras_serializable("foreign")
class Scaled(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """LayerScale: a learned factor for each channel."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=shape[-1:], name="gamma", initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.gamma


@keras.saving.register_keras_serializable("foreign")
class Queries(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Learned tokens, the same for each input; `joined` puts them before the tokens."""

    def __init__(self, count: int, joined: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.count, self.joined = count, joined

    def build(self, shape: Any) -> None:
        self.tokens = self.add_weight(shape=(1, self.count, shape[-1]), name="tokens")

    def call(self, x: Any) -> Any:
        own = ops.repeat(self.tokens, ops.shape(x)[0], axis=0)
        return ops.concatenate([own, x], axis=1) if self.joined else own
