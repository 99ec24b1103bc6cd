# SPDX-License-Identifier: Apache-2.0
"""Weights of one network of stages out of its supernet, by the names of the plain model."""

from __future__ import annotations

import re

import numpy as np
from keras import ops

from nas.space.staged_space import StagedSubnet
from nas.supernet.conv_blocks import Statistics
from nas.supernet.four_bits import rounded_to_4_bits
from nas.supernet.layout import Sizes, places
from nas.supernet.shared import Floats
from nas.supernet.staged_net import StagedSupernet

_CONVOLUTION = re.compile(r"stage(\d+)_block(\d+)_(\w+)_(conv|bn)$")
_DOWN = re.compile(r"stage(\d+)_(tokens_norm|norm|down|embedding)$")
_BLOCK = re.compile(r"block(\d+)_(\w+)$")
_LINEAR = ("qkv", "proj", "fc1", "fc2")


class StageSlices:
    """Cuts the weights of one sub-network out of the supernet's."""

    def __init__(self, net: StagedSupernet, config: StagedSubnet, statistics: Statistics) -> None:
        self.net, self.config, self.statistics = net, config, statistics
        self.arch = net.space.arch(config)
        self.sources = [source.width for source in self.arch.sources]
        self.first = np.cumsum([0, *(stage.depth for stage in self.arch.stages)])
        # In the supernet, which has those too that the network leaves out.
        self.numbers = [i for i, choice in enumerate(config.stages) if choice.depth]

    def weight(self, name: str) -> Floats:
        """The weight of that name ("layer/weight") in the plain model."""
        layer, kind = name.split("/")[-2:]
        if layer.startswith("stem"):
            found = next(each for each in self.net.stem if each.name == layer)
            weight = next(w for w in found.weights if w.path.endswith(kind))
            return np.asarray(ops.convert_to_numpy(weight))
        if match := _CONVOLUTION.match(layer):
            return self._convolution(int(match[1]), int(match[2]), match[3], kind)
        if match := _DOWN.match(layer):
            return self._down(int(match[1]), match[2], kind)
        if match := _BLOCK.match(layer):
            return self._block(int(match[1]), match[2], kind)
        value = self.net.values(f"{layer}/{kind}")
        if layer == "head" and kind == "bias":
            return value
        return np.asarray(value[: self.sources[-1]])

    def _convolution(self, stage: int, block: int, part: str, kind: str) -> Floats:
        """Of a block; a depthwise layer and its norm have the channels of the input."""
        choice = self.config.stages[self.numbers[stage]]
        name = f"stage{self.numbers[stage]}_{choice.blocks}_block{block}_{part}"
        width = self.sources[stage + 1]
        source = width if block else self.sources[stage]
        if kind.startswith("moving_"):
            place = ("moving_mean", "moving_variance").index(kind)
            moment: Floats = np.asarray(self.statistics[name])[place]
            return moment[: source if part == "depth" else width]
        if kind in ("gamma", "beta"):
            return self.net.values(f"{name}_bn/{kind}")[: source if part == "depth" else width]
        value = self.net.values(f"{name}_conv/kernel")
        if part == "depth":
            return value[:, :, :source]
        kernel = value[:, :, : width if part == "b" else source, :width]
        bits = choice.weight_bits
        return rounded_to_4_bits(kernel) if 4 in bits[block : block + 1] else kernel

    def _down(self, stage: int, part: str, kind: str) -> Floats:
        """What is before a stage's first block."""
        place = self.net.places[self.numbers[stage]]
        value, space = self.net.values(f"{place.name}_{part}/{kind}"), place.space
        source, width = self.sources[stage : stage + 2]
        if part == "tokens_norm" or kind == "bias":
            return value[:width]
        if part == "embedding":
            return value[None, :, :width]
        if space.down != "merge":
            return value[:, :, :source, :width]
        parts = value.reshape(space.stride**2, place.source, -1)[:, :source]
        if part == "norm":
            return np.asarray(parts.reshape(-1))
        return np.asarray(parts[..., :width].reshape(-1, width))

    def _block(self, number: int, part: str, kind: str) -> Floats:
        stage = int(np.searchsorted(self.first, number, side="right")) - 1
        block = self.arch.transformer_blocks[number]
        place = self.net.places[self.numbers[stage]]
        name = f"{place.name}_block{number - self.first[stage]}_{part}"
        value = self.net.values(f"{name}/{kind}")
        if part in ("norm1", "norm2"):
            return value[: block.width]
        if part == "sdpa":
            if kind != "bias_table":
                return value[..., : block.head_dim]
            window = block.places.window or block.places.side
            edge = (len(value) + 1) // 2 - window
            cut = value[edge : len(value) - edge, edge : len(value) - edge, : block.heads]
            return np.asarray(cut.reshape(-1, block.heads))
        assert part in _LINEAR
        sizes = self.net.block_sizes(place)
        whole = Sizes(sizes.dim, sizes.heads, sizes.head_dim, sizes.hidden)
        used = Sizes(block.width, block.heads, block.head_dim, block.hidden)
        rows, columns = places(part, whole, used)
        if kind == "bias":
            return value[columns]
        kernel = value[rows][:, columns]
        return kernel if block.weight_bits == 8 else rounded_to_4_bits(kernel)
