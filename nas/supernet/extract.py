# SPDX-License-Identifier: Apache-2.0
"""A sub-network out of the supernet, as a plain model of `keras_models` with the same logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras_models.vit import build_vit, weight_name
from nas.space import SubnetConfig
from nas.space.any_space import AnySubnet, expect_choice, expect_stages
from nas.supernet.conv_blocks import Statistics
from nas.supernet.four_bits import rounded_to_4_bits
from nas.supernet.layout import Sizes, places
from nas.supernet.net import Supernet
from nas.supernet.shared import Floats, SharedWeights
from nas.supernet.staged_extract import StageSlices
from nas.supernet.staged_net import StagedSupernet


def extract(
    supernet: SharedWeights, config: AnySubnet, statistics: Statistics | None = None
) -> Any:
    """A sub-network as a model of its own (`keras_models.vit.build_vit`), with the same logits.

    Args:
      statistics: its batch statistics (`Steps.statistics`), where the supernet keeps none.
    """
    supernet.space.check(config)
    if supernet.needs_statistics and not statistics:
        raise ValueError(f"{supernet.space.name}: expected the sub-network's batch statistics")
    model = build_vit(supernet.space.arch(config))
    source: Any
    if isinstance(supernet, StagedSupernet):
        source = StageSlices(supernet, expect_stages(config), statistics or {})
    else:
        assert isinstance(supernet, Supernet)
        source = _Slices(supernet, expect_choice(config))
    model.set_weights([source.weight(weight_name(w)) for w in model.weights])
    return model


class _Slices:
    """Cuts the weights of one sub-network out of the supernet's."""

    def __init__(self, supernet: Supernet, config: SubnetConfig) -> None:
        self.net, self.config = supernet, config
        self.space, self.arch = supernet.space, supernet.space.arch(config)

    def weight(self, name: str) -> Floats:
        """The weight of that name ("layer/weight") in the plain model."""
        layer, kind = name.split("/")[-2:]
        dim = self.arch.embed_dim
        if layer.startswith("stem"):
            return self._stem(layer, kind)
        if layer == "patch":
            return self._patch(kind)[..., :dim]
        if layer == "embedding":
            return self._embedding(kind)[..., :dim]
        if layer == "norm" or layer.endswith(("_norm1", "_norm2")):
            return self.net.values(f"{layer}/{kind}")[:dim]
        if layer == "head":
            value = self.net.values(f"{layer}/{kind}")
            return value[:dim] if kind == "kernel" else value
        block, part = layer.removeprefix("block").split("_", 1)
        if part == "sdpa":
            return self.net.values(f"{layer}/{kind}")[..., : self.arch.head_dim]
        return self._linear(int(block), part, kind)

    def _stem(self, layer: str, kind: str) -> Floats:
        stem = self.config.patch.stem
        wanted = f"{self.net.stem_names[stem]}_{layer}"
        found = next(each for each in self.net.stems[stem] if each.name == wanted)
        weight = next(w for w in found.weights if w.path.endswith(kind))
        return np.asarray(ops.convert_to_numpy(weight))

    def _patch(self, kind: str) -> Floats:
        patch = self.config.patch
        value = self.net.values(f"{self.net.stem_names[patch.stem]}_patch/{kind}")
        if kind == "bias":
            return value
        matrix = self.net.resizing[patch][0]
        channels = self.arch.patch_input_channels
        small = matrix @ value.reshape(matrix.shape[1], -1)
        return small.reshape(patch.size, patch.size, channels, -1)

    def _embedding(self, kind: str) -> Floats:
        if kind == "cls":
            return self.net.values("embedding/cls")
        positions = self.net.resizing[self.config.patch][1] @ self.net.values("embedding/position")
        if self.arch.class_token:
            return np.concatenate([self.net.values("cls_position"), positions[None]], axis=1)
        return np.asarray(positions[None])

    def _linear(self, b: int, part: str, kind: str) -> Floats:
        base = part.removesuffix("_a").removesuffix("_b")
        name = f"block{b}_{base}"
        rows, columns = places(base, self.net.sizes, Sizes.of(self.arch, b))
        if kind == "bias":
            return self.net.values(f"{name}/bias")[columns]
        if f"{name}/kernel" in self.net.table:
            return self._in_bits(b, self.net.values(f"{name}/kernel")[rows][:, columns])
        rank = getattr(self.space.block_ranks(self.config, b, self.arch), base)
        left = self._in_bits(b, self.net.values(f"{name}_a/kernel")[rows][:, :rank])
        right = self._in_bits(b, self.net.values(f"{name}_b/kernel")[:rank][:, columns])
        if part.endswith("_a"):
            return left
        return right if part.endswith("_b") else left @ right

    def _in_bits(self, b: int, kernel: Floats) -> Floats:
        """A kernel of a block, rounded where the supernet rounds it."""
        return kernel if self.arch.block(b).weight_bits == 8 else rounded_to_4_bits(kernel)
