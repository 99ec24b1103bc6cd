# SPDX-License-Identifier: Apache-2.0
"""The weight-entangled supernet: one set of weights that holds every sub-network of a space.

A sub-network uses the leading channels, heads, hidden units, ranks and blocks of the supernet's
weights (AutoFormer, Chen et al., ICCV 2021). Low-rank pairs are nested: the leading columns of A
and rows of B are the leading singular directions, at the start and after `init_from`. Patch sizes
share a kernel and the positions (`nas.supernet.resize`); each stem has convolutions of its own.

Sub-networks are selected by masks (`nas.supernet.masks`), so that the computation has the same
shapes for all of them and is compiled once per patch embedding, that is once per number of tokens.
Masked computation is exact: LayerNorm divides by the sub-network's width, unused heads and units
add zero. `nas.supernet.extract` takes a sub-network out as a plain model with the same logits.

Everything is `keras.ops`, for any Keras 3 backend.
"""

from __future__ import annotations

import zlib
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_models.layers import layers_for
from nas.space import Patch, SearchSpace, fail
from nas.supernet import resize
from nas.supernet.layout import Sizes
from nas.supernet.masks import Masks, Widths, masks_of, widths_of

Floats = NDArray[np.float32]
NORM_EPSILON = 1e-6  # ArchConfig's default


class Supernet(keras.layers.Layer):  # type: ignore[misc]
    """All networks of a space.

    Args:
      space: the space.
      seed: of the first weights.
      synchronized: batch normalization of stems uses the batch of all replicas of a
        `tf.distribute` strategy instead of each replica's share.

    Attributes:
      space: the space.
      widths: of the weights.
      table: every weight that sub-networks share, by the name that it has in a plain model.
      resizing: of each patch, the matrices that make its kernel and positions from the stored ones.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, synchronized: bool = False) -> None:
        super().__init__(name="supernet", dtype="float32")
        self.space = space
        self.widths: Widths = widths_of(space)
        self.seed = seed
        self.synchronized = synchronized
        self.archs = {p: space.arch(space.smallest(p)) for p in space.patches}
        self.stored_grid = max(arch.grid for arch in self.archs.values())
        self.stem_names = {
            stem: f"stems{i}" for i, stem in enumerate(dict.fromkeys(p.stem for p in space.patches))
        }
        self.stored_patch = {
            stem: max(p.size for p in space.patches if p.stem == stem) for stem in self.stem_names
        }
        self.activate = layers_for(keras).Activation(space.activation)
        self.table: dict[str, Any] = {}
        self.stems = {stem: self._stem_layers(stem) for stem in self.stem_names}
        self._stem_tracker = [layer for stem in self.stems.values() for layer in stem if stem]
        self.resizing = {p: self._matrices(p) for p in space.patches}

    # ---- weights -------------------------------------------------------------------------------

    def _stem_layers(self, stem: tuple[Any, ...]) -> list[Any]:
        """Layers of a stem, with the names that a plain model gives them behind the stem's own."""
        layers, prefix = [], self.stem_names[stem]
        for i, layer in enumerate(stem):
            layers.append(
                keras.layers.Conv2D(
                    layer.channels,
                    layer.kernel,
                    strides=layer.stride,
                    padding="same",
                    use_bias=not layer.batch_norm,
                    kernel_initializer=keras.initializers.HeNormal(self._seed_of(f"{prefix}{i}")),
                    name=f"{prefix}_stem{i}_conv",
                )
            )
            if layer.batch_norm:
                name = f"{prefix}_stem{i}_bn"
                norm = keras.layers.BatchNormalization(name=name, synchronized=self.synchronized)
                layers.append(norm)
            if layer.activation == "relu":
                layers.append(keras.layers.ReLU())
            elif layer.activation == "gelu":
                layers.append(layers_for(keras).Activation("gelu"))
        return layers

    def _matrices(self, patch: Patch) -> tuple[Floats, Floats]:
        kernel = resize.kernel_matrix(patch.size, self.stored_patch[patch.stem])
        return kernel, resize.position_matrix(self.archs[patch].grid, self.stored_grid)

    def _seed_of(self, name: str) -> int:
        return zlib.crc32(f"{self.seed} {name}".encode())

    def _add(self, name: str, value: Any) -> None:
        def initial(shape: Any, dtype: Any = None) -> Any:
            return ops.convert_to_tensor(np.asarray(value, np.float32), dtype)

        shape = np.shape(value)
        self.table[name] = self.add_weight(
            name=name.replace("/", "_"), shape=shape, initializer=initial
        )

    def _glorot(self, name: str, fan_in: int, fan_out: int) -> Floats:
        rng = np.random.default_rng(self._seed_of(name))
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        return rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)

    def _add_linear(self, name: str, fan_in: int, fan_out: int, rank: int) -> None:
        dense = self._glorot(name, fan_in, fan_out)
        if rank:
            left, right = split_pair(dense, rank)
            self._add(f"{name}_a/kernel", left)
            self._add(f"{name}_b/kernel", right)
        else:
            self._add(f"{name}/kernel", dense)
        self._add(f"{name}/bias", np.zeros(fan_out))

    def _add_norm(self, name: str) -> None:
        self._add(f"{name}/gamma", np.ones(self.widths.dim))
        self._add(f"{name}/beta", np.zeros(self.widths.dim))

    def build(self, input_shape: Any = None) -> None:
        """Makes all weights, whatever the first call uses."""
        space, w = self.space, self.widths
        for patch, arch in self.archs.items():
            side, channels = space.image_size, space.channels
            for layer in self.stems[patch.stem]:
                if not layer.built:
                    layer.build((None, side, side, channels))
                side, channels = layer.compute_output_shape((None, side, side, channels))[2:]
            name = f"{self.stem_names[patch.stem]}_patch"
            if f"{name}/kernel" not in self.table:
                stored = self.stored_patch[patch.stem]
                size = stored**2 * arch.patch_input_channels
                self._add(f"{name}/kernel", self._glorot(name, size, w.dim))
                self._add(f"{name}/bias", np.zeros(w.dim))
        rng = np.random.default_rng(self._seed_of("position"))
        if space.pool == "cls":
            self._add("embedding/cls", rng.normal(0, 0.02, (1, 1, w.dim)))
            self._add("cls_position", rng.normal(0, 0.02, (1, 1, w.dim)))
        positions = rng.normal(0, 0.02, (self.stored_grid**2, w.dim))
        self._add("embedding/position", positions)
        inner = w.heads * w.head_dim
        for b in range(w.depth):
            self._add_norm(f"block{b}_norm1")
            self._add_linear(f"block{b}_qkv", w.dim, 3 * inner, w.qkv)
            self._add_linear(f"block{b}_proj", inner, w.dim, w.proj)
            self._add_norm(f"block{b}_norm2")
            self._add_linear(f"block{b}_fc1", w.dim, w.hidden, w.fc1)
            self._add_linear(f"block{b}_fc2", w.hidden, w.dim, w.fc2)
        self._add_norm("norm")
        self._add_linear("head", w.dim, space.num_classes, 0)
        self.built = True

    # ---- computation ---------------------------------------------------------------------------

    def call(self, images: Any, masks: Masks, form: Patch, training: bool = False) -> Any:
        """Logits (batch, classes) of the sub-network that `masks` select.

        Args:
          images: (batch, size, size, channels) in [-1, 1].
          masks: of `masks_of`, one sub-network; its patch must be `form`.
          form: static, decides the shapes.
        """
        mask = masks["dim"]
        x = self._tokens(images, form, training) * mask
        for b in range(self.widths.depth):
            gate = masks["gate"][b] * mask
            x = x + gate * self._attention(x, masks, b)
            x = x + gate * self._mlp(x, masks, b)
        x = self._norm(x, "norm", mask)
        x = x[:, 0] if self.space.pool == "cls" else ops.mean(x, axis=1)
        return ops.matmul(x, self.table["head/kernel"]) + self.table["head/bias"]

    def _tokens(self, x: Any, patch: Patch, training: bool) -> Any:
        arch = self.archs[patch]
        for layer in self.stems[patch.stem]:
            batch_norm = isinstance(layer, keras.layers.BatchNormalization)
            x = layer(x, training=training) if batch_norm else layer(x)
        if arch.patch_padding:
            edge = (arch.patch_padding, arch.patch_padding)
            x = ops.pad(x, ((0, 0), edge, edge, (0, 0)))
        grid, size, channels = arch.grid, patch.size, arch.patch_input_channels
        x = ops.reshape(x, (-1, grid, size, grid, size, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, grid * grid, size * size * channels))
        kernel_matrix, position_matrix = self.resizing[patch]
        name = f"{self.stem_names[patch.stem]}_patch"
        kernel = ops.reshape(self.table[f"{name}/kernel"], (kernel_matrix.shape[1], -1))
        kernel = ops.reshape(ops.matmul(kernel_matrix, kernel), (-1, self.widths.dim))
        x = ops.matmul(x, kernel) + self.table[f"{name}/bias"]
        x = x + ops.matmul(position_matrix, self.table["embedding/position"])
        if self.space.pool != "cls":
            return x
        cls = self.table["embedding/cls"] + self.table["cls_position"]
        cls = ops.broadcast_to(cls, (ops.shape(x)[0], 1, self.widths.dim))
        return ops.concatenate([cls, x], axis=1)

    def _norm(self, x: Any, name: str, mask: Any) -> Any:
        """LayerNorm over the leading channels; x is zero behind them."""
        width = ops.sum(mask)
        centred = (x - ops.sum(x, axis=-1, keepdims=True) / width) * mask
        variance = ops.sum(centred * centred, axis=-1, keepdims=True) / width
        x = centred * ops.rsqrt(variance + NORM_EPSILON)
        return (x * self.table[f"{name}/gamma"] + self.table[f"{name}/beta"]) * mask

    def _linear(self, x: Any, name: str, rank_mask: Any) -> Any:
        if f"{name}/kernel" in self.table:
            return ops.matmul(x, self.table[f"{name}/kernel"]) + self.table[f"{name}/bias"]
        x = ops.matmul(x, self.table[f"{name}_a/kernel"]) * rank_mask
        return ops.matmul(x, self.table[f"{name}_b/kernel"]) + self.table[f"{name}/bias"]

    def _attention(self, x: Any, masks: Masks, b: int) -> Any:
        heads, head_dim = self.widths.heads, self.widths.head_dim
        x = self._norm(x, f"block{b}_norm1", masks["dim"])
        x = self._linear(x, f"block{b}_qkv", masks["qkv"][b])
        tokens = x.shape[1]
        x = ops.transpose(ops.reshape(x, (-1, tokens, 3, heads, head_dim)), (2, 0, 3, 1, 4))
        used, scale = self._head_width(masks)
        scores = ops.matmul(x[0] * scale, ops.transpose(x[1], (0, 1, 3, 2)))
        x = ops.matmul(ops.softmax(scores, axis=-1), x[2])
        x = x * (ops.reshape(masks["heads"][b], (1, heads, 1, 1)) * used)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, tokens, heads * head_dim))
        return self._linear(x, f"block{b}_proj", masks["proj"][b])

    def _head_width(self, masks: Masks) -> tuple[Any, Any]:
        """What of a head is used, and the scale of the query's numbers: 0 where they are not."""
        if len(self.space.allowed("head_dim")) == 1:
            return 1.0, self.widths.head_dim**-0.5
        used = masks["head_dim"]
        return used, used * ops.rsqrt(ops.sum(used))

    def _mlp(self, x: Any, masks: Masks, b: int) -> Any:
        x = self._norm(x, f"block{b}_norm2", masks["dim"])
        x = self.activate(self._linear(x, f"block{b}_fc1", masks["fc1"][b]))
        return self._linear(x * masks["hidden"][b], f"block{b}_fc2", masks["fc2"][b])

    # ---- sub-networks --------------------------------------------------------------------------

    def masks(self, config: Any) -> Masks:
        """The masks of a sub-network; SpaceError if it is none of the space."""
        self.space.check(config)
        return masks_of(self.space, self.widths, config)

    @property
    def sizes(self) -> Sizes:
        """Of every block."""
        w = self.widths
        return Sizes(w.dim, w.heads, w.head_dim, w.hidden)

    def values(self, name: str) -> Floats:
        """A weight as NumPy."""
        return np.asarray(ops.convert_to_numpy(self.table[name]))


def split_pair(matrix: Floats, rank: int) -> tuple[Floats, Floats]:
    """A (inputs, rank) and B (rank, outputs), leading singular directions first, A.B ~ matrix.

    Both halves carry the root of the singular values, so that they learn at the same pace.
    """
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    if rank > len(s):
        fail("rank", rank, f"at most {len(s)} for a matrix of {matrix.shape}")
    root = np.sqrt(s[:rank])
    return (u[:, :rank] * root).astype(np.float32), (root[:, None] * vt[:rank]).astype(np.float32)
