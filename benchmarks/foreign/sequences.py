# SPDX-License-Identifier: Apache-2.0
"""Networks of text, sound and time series."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.foreign.layers import (
    Positions,
    Queries,
    attention,
    merge_heads,
    mlp,
    pre_norm,
    rotary_attention,
    rotated,
    split_heads,
    swiglu,
    weighted,
)


def _pooled(inputs: Any, x: Any, classes: int) -> Any:
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling1D()(x)))


def _post_norm(x: Any, heads: int, hidden: int) -> Any:
    x = layers.LayerNormalization()(x + attention(x, heads))
    return layers.LayerNormalization()(x + mlp(x, hidden))


def kwt() -> Any:
    """Keyword spotting: a token for each frame, a class token, norms behind the blocks."""
    frames = keras.Input((49, 40))
    x = Positions()(Queries(1, joined=True)(layers.Dense(32)(frames)))
    x = _post_norm(_post_norm(x, 1, 64), 1, 64)
    return keras.Model(frames, layers.Dense(12)(x[:, 0]))


def mask_input() -> Any:
    """Which tokens are padding comes in beside them."""
    tokens, mask = keras.Input((24, 16)), keras.Input((24,))
    x = Positions()(layers.Dense(32)(tokens))
    bias = (1.0 - layers.Reshape((1, 1, 24))(mask)) * -10.0
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        q, k, v = (split_heads(layers.Dense(32)(y), 2) for _ in range(3))
        x = x + layers.Dense(32)(merge_heads(weighted(q, k, v, bias)))
        x = x + mlp(layers.LayerNormalization()(x), 64)
    return _pooled([tokens, mask], x, 6)


def masked_text() -> Any:
    """`Embedding(mask_zero=True)`: Keras derives the mask from the token ids."""
    ids = keras.Input((20,), dtype="int32")
    x = layers.Embedding(50, 32, mask_zero=True)(ids)
    y = layers.MultiHeadAttention(2, 16)(x, x)
    x = layers.LayerNormalization()(x + y)
    x = layers.LayerNormalization()(x + mlp(x, 64))
    return _pooled(ids, x, 4)


def llama() -> Any:
    """A small decoder: RMSNorm, rotary positions, causal, gated MLP, logits of each position."""
    ids = keras.Input((16,), dtype="int32")
    x = layers.Embedding(64, 32)(ids)
    causal = np.triu(np.full((1, 1, 16, 16), -20.0, np.float32), 1)
    for _ in range(2):
        x = x + rotary_attention(layers.RMSNormalization()(x), 4, causal)
        x = x + swiglu(layers.RMSNormalization()(x), 48)
    return keras.Model(ids, layers.Dense(64, use_bias=False)(layers.RMSNormalization()(x)))


def gemma() -> Any:
    """Grouped queries with normed q and k, norms before and behind each branch."""
    ids = keras.Input((16,), dtype="int32")
    x = layers.Embedding(64, 32)(ids)
    causal = np.triu(np.full((1, 1, 16, 16), -20.0, np.float32), 1)
    for _ in range(2):
        y = layers.RMSNormalization()(x)
        q = split_heads(layers.Dense(32, use_bias=False)(y), 4)
        k, v = (split_heads(layers.Dense(8, use_bias=False)(y), 1) for _ in range(2))
        q, k = (rotated(layers.RMSNormalization()(each)) for each in (q, k))
        y = layers.Dense(32, use_bias=False)(merge_heads(weighted(q, k, v, causal)))
        x = x + layers.RMSNormalization()(y)
        y = swiglu(layers.RMSNormalization()(x), 48)
        x = x + layers.RMSNormalization()(y)
    return keras.Model(ids, layers.Dense(64, use_bias=False)(layers.RMSNormalization()(x)))


def gpt() -> Any:
    """Keras' own causal mask and grouped attention."""
    ids = keras.Input((16,), dtype="int32")
    x = Positions()(layers.Embedding(64, 32)(ids))
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 16)(y, y, use_causal_mask=True)
    y = layers.LayerNormalization()(x)
    x = x + layers.GroupQueryAttention(8, 4, 2)(y, y, use_causal_mask=True)
    x = x + mlp(layers.LayerNormalization()(x), 64)
    return keras.Model(ids, layers.Dense(64)(layers.LayerNormalization()(x)))


def conformer() -> Any:
    """Half an MLP, attention, a gated depthwise convolution, half an MLP."""
    frames = keras.Input((48, 40))
    x = layers.Dense(32)(layers.Conv1D(32, 3, strides=2, padding="same", activation="silu")(frames))
    x = x + 0.5 * mlp(layers.LayerNormalization()(x), 64, "silu")
    x = x + attention(layers.LayerNormalization()(x), 2)
    y = layers.Conv1D(64, 1)(layers.LayerNormalization()(x))
    y = y[..., :32] * ops.sigmoid(y[..., 32:])
    y = layers.BatchNormalization()(layers.DepthwiseConv1D(7, padding="same")(y))
    x = x + layers.Conv1D(32, 1)(ops.silu(y))
    x = x + 0.5 * mlp(layers.LayerNormalization()(x), 64, "silu")
    return keras.Model(frames, layers.Dense(20)(layers.LayerNormalization()(x)))


def keras_timeseries() -> Any:
    """keras.io's "Timeseries classification with a Transformer model": norm behind each branch."""
    signal = keras.Input((100, 1))
    x = layers.Conv1D(32, 5, strides=4)(signal)
    for _ in range(2):
        y = layers.MultiHeadAttention(2, 16)(x, x)
        x = x + layers.LayerNormalization(epsilon=1e-6)(y)
        y = layers.Conv1D(32, 1)(layers.Conv1D(16, 1, activation="relu")(x))
        x = x + layers.LayerNormalization(epsilon=1e-6)(y)
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = layers.Dense(32, activation="relu")(x)
    return keras.Model(signal, layers.Dense(2, activation="softmax")(x))


def inverted() -> Any:
    """iTransformer with reversible normalization: a token for each variable, a forecast out."""
    signal = keras.Input((48, 6))
    mean = ops.mean(signal, axis=1, keepdims=True)
    spread = ops.sqrt(ops.mean(ops.square(signal - mean), axis=1, keepdims=True) + 1e-5)
    x = layers.Dense(32)(ops.transpose((signal - mean) / spread, (0, 2, 1)))
    x = pre_norm(pre_norm(x, 2, 64), 2, 64)
    y = ops.transpose(layers.Dense(12)(layers.LayerNormalization()(x)), (0, 2, 1))
    return keras.Model(signal, y * spread + mean)


def perceiver() -> Any:
    """A few latent tokens read a long input again and again."""
    signal = keras.Input((120, 8))
    data = layers.LayerNormalization()(Positions()(layers.Dense(32)(signal)))
    x = Queries(8)(data)
    for _ in range(2):
        x = x + attention(layers.LayerNormalization()(x), 2, data)
        x = x + mlp(layers.LayerNormalization()(x), 64)
        x = pre_norm(x, 2, 64)
    return _pooled(signal, x, 6)


def gmlp() -> Any:
    """keras.io's gMLP: a gate that mixes tokens."""
    tokens = keras.Input((32, 16))
    x = layers.Dense(32)(tokens)
    for _ in range(2):
        y = layers.Dense(64, activation="gelu")(layers.LayerNormalization()(x))
        u, v = y[..., :32], layers.LayerNormalization()(y[..., 32:])
        v = ops.transpose(layers.Dense(32)(ops.transpose(v, (0, 2, 1))), (0, 2, 1))
        x = x + layers.Dense(32)(u * v)
    return _pooled(tokens, x, 5)


def external() -> Any:
    """keras.io's EANet: memories instead of keys and values, normalized twice."""
    tokens = keras.Input((32, 16))
    x = Positions()(layers.Dense(32)(tokens))
    y = split_heads(layers.Dense(64)(layers.LayerNormalization()(x)), 4)
    weights = ops.softmax(layers.Dense(16)(y), axis=2)
    weights = weights / (1e-9 + ops.sum(weights, axis=-1, keepdims=True))
    x = x + layers.Dense(32)(merge_heads(layers.Dense(16)(weights)))
    x = x + mlp(layers.LayerNormalization()(x), 64)
    return _pooled(tokens, x, 5)


def alibi() -> Any:
    """Linear biases by distance, sandwich norms, squared ReLU."""
    tokens = keras.Input((32, 16))
    x = layers.Dense(32)(tokens)
    place = np.arange(32)
    distance = -np.abs(place[:, np.newaxis] - place)
    bias = (distance * 2.0 ** -np.arange(1, 5)[:, np.newaxis, np.newaxis]).astype(np.float32)
    y = layers.LayerNormalization()(x)
    q, k, v = (split_heads(layers.Dense(32)(y), 4) for _ in range(3))
    x = x + layers.LayerNormalization()(layers.Dense(32)(merge_heads(weighted(q, k, v, bias))))
    y = ops.square(layers.Dense(64, activation="relu")(layers.LayerNormalization()(x)))
    return _pooled(tokens, x + layers.LayerNormalization()(layers.Dense(32)(y)), 5)
