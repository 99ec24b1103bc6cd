# SPDX-License-Identifier: Apache-2.0
"""The weight-entangled supernet: one set of weights that holds every sub-network of a space.

A sub-network uses the leading channels, heads, hidden units, ranks and blocks of the supernet's
weights (AutoFormer, Chen et al., ICCV 2021). Low-rank pairs are nested: the leading columns of A
and rows of B are the leading singular directions, at the start and after `init_from`. Patch sizes
share a kernel and the positions (`nas.supernet.resize`); each stem has convolutions of its own.

Sub-networks are selected by masks (`nas.supernet.masks`), so that the computation is compiled once
per patch embedding, that is once per number of tokens (`nas.supernet.selection`).
The result is exact: LayerNorm divides by the sub-network's width, unused heads and units do not
count. `nas.supernet.extract` takes a sub-network out as a plain model with the same logits.

Everything is `keras.ops`, for any Keras 3 backend.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_models.parts import Places
from nas.space import Patch, SearchSpace
from nas.space.any_space import AnySubnet, expect_choice
from nas.supernet import resize
from nas.supernet.layout import Sizes
from nas.supernet.masks import Masks, Widths, masks_of, widths_of
from nas.supernet.shared import BlockMasks, BlockSizes, Floats, Positions, SharedWeights, split_pair

NORM_EPSILON = 1e-6  # ArchConfig's default


class Supernet(SharedWeights):
    """All networks of a space of one stage.

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
        super().__init__(space, space.activation, NORM_EPSILON, seed, synchronized)
        self.widths: Widths = widths_of(space)
        self.archs = {p: space.arch(space.smallest(p)) for p in space.patches}
        self.stored_grid = max(arch.grid for arch in self.archs.values())
        self.stem_names = {
            stem: f"stems{i}" for i, stem in enumerate(dict.fromkeys(p.stem for p in space.patches))
        }
        self.stored_patch = {
            stem: max(p.size for p in space.patches if p.stem == stem) for stem in self.stem_names
        }
        self.stems = {
            stem: self._stem_layers(stem, f"{prefix}_") for stem, prefix in self.stem_names.items()
        }
        self._stem_tracker = [layer for stem in self.stems.values() for layer in stem if stem]
        self.resizing = {p: self._matrices(p) for p in space.patches}

    # ---- weights -------------------------------------------------------------------------------

    def _matrices(self, patch: Patch) -> tuple[Floats, Floats]:
        kernel = resize.kernel_matrix(patch.size, self.stored_patch[patch.stem])
        return kernel, resize.position_matrix(self.archs[patch].grid, self.stored_grid)

    @property
    def block_sizes(self) -> BlockSizes:
        """Of every block, ranks included."""
        w = self.widths
        return BlockSizes(w.dim, w.heads, w.head_dim, w.hidden, w.qkv, w.proj, w.fc1, w.fc2)

    def positions(self, patch: Patch) -> Positions:
        """What blocks make of the places of a patch's tokens."""
        arch = self.archs[patch]
        return Positions(Places(arch.grid, int(arch.class_token), relative=arch.relative_position))

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
        if space.pool != "mean":
            self._add("embedding/cls", rng.normal(0, 0.02, (1, 1, w.dim)))
            self._add("cls_position", rng.normal(0, 0.02, (1, 1, w.dim)))
        positions = rng.normal(0, 0.02, (self.stored_grid**2, w.dim))
        self._add("embedding/position", positions)
        for b in range(w.depth):
            self._add_block(f"block{b}", self.block_sizes, self.positions(space.patches[0]))
        self._add_norm("norm", w.dim)
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
        x = self.select.keep(self._tokens(images, form, mask, training), mask)
        sizes, positions = self.block_sizes, self.positions(form)
        for b in range(self.widths.depth):
            own = self._block_masks(masks, b)

            def block(x: Any, b: int = b, own: BlockMasks = own) -> Any:
                return self._block(x, f"block{b}", sizes, own, positions)

            gate = masks["gate"][b] if b >= min(self.space.depth) else None
            x = self.select.block(x, gate, block)
        x = self._norm(x, "norm", mask)
        head = self.select.lead(self.table["head/kernel"], mask, None)
        return ops.matmul(self._pooled(x), head) + self.table["head/bias"]

    def _pooled(self, x: Any) -> Any:
        if self.space.pool == "cls":
            return x[:, 0]
        return ops.mean(x if self.space.pool == "mean" else x[:, 1:], axis=1)

    def _block_masks(self, masks: Masks, b: int) -> BlockMasks:
        head_dim = masks["head_dim"] if len(self.space.allowed("head_dim")) > 1 else None
        ranks = {name: masks[name][b] for name in ("qkv", "proj", "fc1", "fc2")}
        four_bits = masks["four_bits"][b] if 4 in self.space.weight_bits else None
        return BlockMasks(
            masks["dim"], masks["heads"][b], masks["hidden"][b], head_dim, **ranks,
            four_bits=four_bits,
        )  # fmt: skip

    def _tokens(self, x: Any, patch: Patch, mask: Any, training: bool) -> Any:
        arch, lead = self.archs[patch], self.select.lead
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
        kernel = lead(self.table[f"{name}/kernel"], None, mask)
        width = self.select.size(mask, self.widths.dim)
        if patch.size != self.stored_patch[patch.stem]:
            kernel = ops.reshape(kernel, (kernel_matrix.shape[1], channels * width))
            kernel = ops.reshape(ops.matmul(kernel_matrix, kernel), (-1, width))
        x = ops.matmul(x, kernel) + lead(self.table[f"{name}/bias"], mask)
        positions = lead(self.table["embedding/position"], None, mask)
        if grid != self.stored_grid:
            positions = ops.matmul(position_matrix, positions)
        x = x + positions
        if self.space.pool == "mean":
            return x
        cls = self.table["embedding/cls"] + self.table["cls_position"]
        cls = ops.broadcast_to(lead(cls, None, None, mask), (ops.shape(x)[0], 1, width))
        return ops.concatenate([cls, x], axis=1)

    # ---- sub-networks --------------------------------------------------------------------------

    def masks(self, config: AnySubnet) -> Masks:
        self.space.check(config)
        return masks_of(self.space, self.widths, expect_choice(config))

    @property
    def sizes(self) -> Sizes:
        """Of every block."""
        w = self.widths
        return Sizes(w.dim, w.heads, w.head_dim, w.hidden)


__all__ = ["Supernet", "split_pair"]
