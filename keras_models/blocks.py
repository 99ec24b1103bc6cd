# SPDX-License-Identifier: Apache-2.0
"""The parts that Keras models of every architecture are built of: stems, attention, MLP."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_models.layers import Layers
from keras_models.parts import StemLayer, TransformerBlock
from keras_models.staged import Architecture


@dataclasses.dataclass(frozen=True)
class NetworkBuilder:
    """What every part of the network needs while it is built.

    Attributes:
      arch: the architecture.
      kit: layers of the Keras that it is built with.
      norm: "clean" or "keras".
      drop_path: rate at the last block.
    """

    arch: Architecture
    kit: Layers
    norm: str
    drop_path: float

    def layer_norm(self, name: str) -> Any:
        if self.norm == "keras":
            return self.kit.keras.layers.LayerNormalization(
                epsilon=self.arch.norm_epsilon, name=name
            )
        return self.kit.LayerNorm(epsilon=self.arch.norm_epsilon, name=name)

    def before(self, x: Any, name: str) -> Any:
        """What a branch sees of the residual stream."""
        return x if self.arch.norm_after else self.layer_norm(name)(x)

    def behind(self, x: Any, name: str) -> Any:
        """The stream behind a residual."""
        return self.layer_norm(name)(x) if self.arch.norm_after else x

    def linear(self, x: Any, outputs: int, rank: int, name: str) -> Any:
        """Dense layer `name`, or the pair `name`_a (no bias) and `name`_b."""
        dense = self.kit.keras.layers.Dense  # Glorot uniform kernels, as the original ViT has
        if rank:
            x = dense(rank, use_bias=False, name=f"{name}_a")(x)
            return dense(outputs, name=f"{name}_b")(x)
        return dense(outputs, name=name)(x)

    def residual(self, x: Any, branch: Any, block: int, name: str) -> Any:
        """x + branch; in training whole branches are dropped per image (Huang et al., 2016)."""
        rate = self.drop_path * block / max(1, self.arch.depth - 1)
        if rate > 0.0:
            # Dropout with a per-image mask is drop path: kept branches are scaled by 1/(1-rate).
            one_per_image = (None, *(1,) * (len(x.shape) - 1))
            branch = self.kit.keras.layers.Dropout(
                rate, noise_shape=one_per_image, name=f"{name}_drop_path"
            )(branch)
        return self.kit.keras.layers.Add(name=name)([x, branch])


def stem(build: NetworkBuilder, x: Any, layout: tuple[StemLayer, ...]) -> Any:
    """The convolutions before the rest."""
    layers = build.kit.keras.layers
    for i, layer in enumerate(layout):
        x = layers.Conv2D(
            layer.channels,
            layer.kernel,
            strides=layer.stride,
            padding="same",
            use_bias=not layer.batch_norm,
            kernel_initializer="he_normal",
            name=f"stem{i}_conv",
        )(x)
        if layer.batch_norm:
            x = layers.BatchNormalization(name=f"stem{i}_bn")(x)
        if layer.activation == "relu":
            x = layers.ReLU(name=f"stem{i}_relu")(x)
        elif layer.activation == "gelu":
            x = build.kit.Activation("gelu", name=f"stem{i}_gelu")(x)
    return x


def transformer_block(build: NetworkBuilder, x: Any, block: TransformerBlock, index: int) -> Any:
    """A block: attention and MLP, each with a residual and a normalization before or behind it.

    Args:
      index: among all blocks of the network; names the layers.
    """
    return _mlp(build, _attention(build, x, block, index), block, index)


def _attention(build: NetworkBuilder, x: Any, block: TransformerBlock, index: int) -> Any:
    name, ranks, places = f"block{index}", block.ranks, block.places
    y = build.before(x, f"{name}_norm1")
    if build.arch.attention == "keras":
        attention = build.kit.keras.layers.MultiHeadAttention(
            num_heads=block.heads, key_dim=block.head_dim, name=f"{name}_attention"
        )
        joined = build.residual(x, attention(y, y), index, f"{name}_add1")
        return build.behind(joined, f"{name}_norm1")
    cut = (places.side, places.window, places.shift)
    if places.window:
        y = build.kit.Windows(*cut, name=f"{name}_windows")(y)
    if build.arch.attention == "packed":
        qkv = build.linear(y, 3 * block.inner, ranks.qkv, f"{name}_qkv")
    else:
        qkv = [build.linear(y, block.inner, ranks.qkv, f"{name}_{part}") for part in "qkv"]
    y = _dot_product(build, block, f"{name}_sdpa")(qkv)
    y = build.linear(y, block.width, ranks.proj, f"{name}_proj")
    if places.window:
        y = build.kit.Windows(*cut, back=True, name=f"{name}_joined")(y)
    return build.behind(build.residual(x, y, index, f"{name}_add1"), f"{name}_norm1")


def _dot_product(build: NetworkBuilder, block: TransformerBlock, name: str) -> Any:
    if not block.places.matter:
        return build.kit.ScaledDotProduct(block.heads, block.head_dim, name=name)
    places = dataclasses.asdict(block.places)
    return build.kit.GridDotProduct(block.heads, block.head_dim, **places, name=name)


def _mlp(build: NetworkBuilder, x: Any, block: TransformerBlock, index: int) -> Any:
    name, ranks = f"block{index}", block.ranks
    y = build.before(x, f"{name}_norm2")
    y = build.linear(y, block.hidden, ranks.fc1, f"{name}_fc1")
    y = build.kit.Activation(build.arch.activation, name=f"{name}_act")(y)
    y = build.linear(y, block.width, ranks.fc2, f"{name}_fc2")
    return build.behind(build.residual(x, y, index, f"{name}_add2"), f"{name}_norm2")
