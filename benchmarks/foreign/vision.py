# SPDX-License-Identifier: Apache-2.0
"""Networks of images, 32 x 32 RGB."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.foreign.layers import (
    Positions,
    Queries,
    Scaled,
    attention,
    merge_heads,
    mlp,
    patches,
    pre_norm,
    rotary_attention,
    split_heads,
    swiglu,
    weighted,
)

_IMAGE = (32, 32, 3)


def _classifier(image: Any, x: Any, classes: int = 10, activation: Any = None) -> Any:
    if len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D()(x)
    elif len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes, activation=activation)(x))


def _inverted(x: Any, hidden: int, width: int, strides: int = 1) -> Any:
    y = layers.Conv2D(hidden, 1, use_bias=False)(x)
    y = layers.Activation("silu")(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
    y = layers.Activation("silu")(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=False)(y))
    return x + y if strides == 1 and x.shape[-1] == width else y


def mobilevit() -> Any:
    """keras.io's MobileViT: patches of 2 x 2 that attend by their places, classes with softmax."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="silu")(image)
    x = _inverted(_inverted(x, 32, 16), 32, 24, 2)
    local = layers.Conv2D(32, 3, padding="same", activation="silu")(x)
    local = layers.Conv2D(32, 1, padding="same", activation="silu")(local)
    tokens = layers.Reshape((4, 16, 32))(local)
    for _ in range(2):
        y = layers.LayerNormalization()(tokens)
        tokens = tokens + layers.MultiHeadAttention(2, 32)(y, y)
        y = layers.Dense(64, activation="silu")(layers.LayerNormalization()(tokens))
        tokens = tokens + layers.Dense(32, activation="silu")(y)
    folded = layers.Conv2D(24, 1, activation="silu")(layers.Reshape((8, 8, 32))(tokens))
    x = layers.Concatenate()([x, folded])
    return _classifier(image, layers.Conv2D(48, 3, activation="silu")(x), 5, "softmax")


def axes_and_groups() -> Any:
    """LayerNorm over rows and channels at once, a stem with GroupNorm."""
    image = keras.Input(_IMAGE)
    x = layers.GroupNormalization(4)(layers.Conv2D(32, 4, strides=4)(image))
    x = Positions()(layers.Reshape((64, 32))(x))
    x = x + attention(layers.LayerNormalization(axis=(1, 2))(x), 2)
    x = x + mlp(layers.LayerNormalization(axis=(1, 2))(x), 64)
    return _classifier(image, x)


def mobilenet_v4() -> Any:
    """Inverted bottlenecks, then attention of many heads to one key of a quarter of the pixels."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    x = _inverted(_inverted(x, 32, 32, 2), 64, 32)
    y = layers.BatchNormalization()(x)
    small = layers.DepthwiseConv2D(3, strides=2, padding="same")(y)
    q = split_heads(layers.Reshape((64, 32))(layers.Conv2D(32, 1)(y)), 4)
    k, v = (split_heads(layers.Reshape((16, 8))(layers.Conv2D(8, 1)(small)), 1) for _ in range(2))
    z = layers.Reshape((8, 8, 32))(merge_heads(weighted(q, k, v)))
    x = x + Scaled()(layers.Conv2D(32, 1)(z))
    return _classifier(image, _inverted(x, 64, 32))


def poolformer() -> Any:
    """Average pooling as mixer, then attention: EfficientFormer."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(32, 7, strides=4, padding="same")(image)
    for _ in range(2):
        y = layers.GroupNormalization(1)(x)
        x = x + Scaled()(layers.AveragePooling2D(3, strides=1, padding="same")(y) - y)
        y = layers.Conv2D(64, 1, activation="gelu")(layers.GroupNormalization(1)(x))
        x = x + Scaled()(layers.Conv2D(32, 1)(y))
    return _classifier(image, pre_norm(layers.Reshape((64, 32))(x), 2, 64))


def fastvit() -> Any:
    """Depthwise mixing with conditional positions, LayerScale and attention."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="gelu")(image)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="gelu")(x)
    x = x + layers.DepthwiseConv2D(7, padding="same")(x)
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
    x = x + Scaled()(layers.Conv2D(32, 1)(layers.Conv2D(96, 1, activation="gelu")(y)))
    x = layers.Reshape((64, 32))(x)
    x = x + Scaled()(attention(layers.LayerNormalization()(x), 2))
    return _classifier(image, x + Scaled()(mlp(layers.LayerNormalization()(x), 96)))


def eva() -> Any:
    """Rotary positions, a gated MLP with a norm inside, registers: EVA-02 and DINOv3."""
    image = keras.Input(_IMAGE)
    x = Queries(5, joined=True)(patches(image, 8, 32))
    for _ in range(2):
        x = x + Scaled()(rotary_attention(layers.LayerNormalization()(x), 2))
        x = x + Scaled()(swiglu(layers.LayerNormalization()(x), 48))
    return _classifier(image, layers.LayerNormalization()(x)[:, 0])


def siglip() -> Any:
    """Attention pooling by a learned query, an MLP behind it."""
    image = keras.Input(_IMAGE)
    x = layers.LayerNormalization()(pre_norm(patches(image, 8, 32), 2, 64))
    pooled = attention(Queries(1)(x), 2, x)
    return _classifier(image, pooled + mlp(layers.LayerNormalization()(pooled), 64))


def class_attention() -> Any:
    """CaiT: talking heads among patches, then class attention."""
    image = keras.Input(_IMAGE)
    x = patches(image, 8, 32)
    y = layers.LayerNormalization()(x)
    q, k, v = (split_heads(layers.Dense(32)(y), 4) for _ in range(3))
    scores = ops.transpose(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * 8.0**-0.5, (0, 2, 3, 1))
    p = ops.transpose(layers.Dense(4)(ops.softmax(layers.Dense(4)(scores), axis=2)), (0, 3, 1, 2))
    x = x + Scaled()(layers.Dense(32)(merge_heads(ops.matmul(p, v))))
    both = layers.LayerNormalization()(Queries(1, joined=True)(x))
    token = both[:, :1] + Scaled()(attention(both[:, :1], 4, both))
    return _classifier(image, token + Scaled()(mlp(layers.LayerNormalization()(token), 64)))


def coatnet() -> Any:
    """Convolutions with squeeze and excitation, then attention with relative positions."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="gelu")(image)
    y = layers.Conv2D(48, 1, activation="gelu")(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", activation="gelu")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(48, 1, activation="sigmoid")(layers.Conv2D(6, 1, activation="silu")(gate))
    x = layers.Conv2D(32, 2, strides=4)(x + layers.Conv2D(24, 1)(y * gate))
    x = layers.Reshape((16, 32))(x)
    y = layers.LayerNormalization()(x)
    q, k, v = (split_heads(layers.Dense(32)(y), 4) for _ in range(3))
    bias = np.random.default_rng(3).normal(0, 1, (1, 4, 16, 16)).astype(np.float32)
    x = x + layers.Dense(32)(merge_heads(weighted(q, k, v, bias)))
    return _classifier(image, x + mlp(layers.LayerNormalization()(x), 64))


def maxvit() -> Any:
    """Attention in windows, then along a grid."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(32, 4, strides=4, padding="same")(image)
    for grid in (False, True):
        y = layers.Reshape((2, 4, 2, 4, 32))(layers.LayerNormalization()(x))
        order = (0, 2, 4, 1, 3, 5) if grid else (0, 1, 3, 2, 4, 5)
        y = layers.Reshape((-1, 16 if not grid else 4, 32))(ops.transpose(y, order))
        y = layers.MultiHeadAttention(2, 16, attention_axes=(2,))(y, y)
        a, b = (4, 2) if grid else (2, 4)
        y = layers.Reshape((a, a, b, b, 32))(y)
        back = (0, 3, 1, 4, 2, 5) if grid else (0, 1, 3, 2, 4, 5)
        x = x + layers.Reshape((8, 8, 32))(ops.transpose(y, back))
        x = x + mlp(layers.LayerNormalization()(x), 64)
    return _classifier(image, x)


def detr() -> Any:
    """Object queries read the pixels; boxes and classes are two outputs."""
    image = keras.Input(_IMAGE)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(image)
    memory = layers.LayerNormalization()(pre_norm(patches(x, 4, 32), 2, 64))
    x = Positions()(Queries(6)(memory))
    x = layers.LayerNormalization()(x + attention(x, 2))
    x = layers.LayerNormalization()(x + attention(x, 2, memory))
    x = layers.LayerNormalization()(x + mlp(x, 64, "relu"))
    return keras.Model(image, [layers.Dense(4, activation="sigmoid")(x), layers.Dense(11)(x)])


def transunet() -> Any:
    """A U-Net with a transformer in the middle: a class for each pixel."""
    image = keras.Input(_IMAGE)
    a = layers.Conv2D(12, 3, padding="same", activation="relu")(image)
    b = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu")(a)
    c = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(b)
    c = layers.Reshape((8, 8, 32))(pre_norm(layers.Reshape((64, 32))(c), 2, 64))
    c = layers.Conv2DTranspose(24, 2, strides=2, activation="relu")(c)
    b = layers.Conv2D(24, 3, padding="same", activation="relu")(layers.Concatenate()([b, c]))
    b = layers.Concatenate()([a, layers.UpSampling2D(2, interpolation="bilinear")(b)])
    return keras.Model(image, layers.Conv2D(3, 1)(b))
