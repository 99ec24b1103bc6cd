# SPDX-License-Identifier: Apache-2.0
"""Low ranks of a space's linear layers."""

from __future__ import annotations

import dataclasses
import functools

from keras_models.arch import ArchConfig, BlockRanks
from nas.space.checks import check_choices, fail


@dataclasses.dataclass(frozen=True)
class RankRule:
    """Low ranks of the linear layers.

    The rank of a layer is int(base * ratio), at least 1 and at most min(inputs, outputs). The base
    is min(inputs, outputs), except that `attention_base`, if not 0, takes its place for qkv and
    proj: MCUFormer computes those ranks from the supernet's width, so that they do not shrink with
    the sub-network.

    Attributes:
      ratios: choices, each above 0 and at most 1.
      per_block: each block has a ratio of its own; otherwise one holds for the network.
      attention_base: see above; 0 or 1..8192.
      dense_when_smaller: a pair that has no fewer weights than its product is deployed as the
        product. The function is the same; MCUFormer deploys the pair always.
    """

    ratios: tuple[float, ...]
    per_block: bool = True
    attention_base: int = 0
    dense_when_smaller: bool = True

    def validate(self, field: str) -> None:
        check_choices(f"{field}.ratios", self.ratios, (int, float), 1e-3, 1.0)
        if not isinstance(self.attention_base, int) or not 0 <= self.attention_base <= 8192:
            fail(f"{field}.attention_base", self.attention_base, "an integer from 0 to 8192")
        for name in ("per_block", "dense_when_smaller"):
            if not isinstance(getattr(self, name), bool):
                fail(f"{field}.{name}", getattr(self, name), "true or false")

    def rank(self, inputs: int, outputs: int, ratio: float, attention: bool) -> int:
        """The rank of one layer, 1..min(inputs, outputs)."""
        full = min(inputs, outputs)
        base = self.attention_base if attention and self.attention_base else full
        # 1e-9: 0.7 * 10 is 6.999... in binary, and means 7.
        return max(1, min(full, int(base * ratio + 1e-9)))

    def deployed(self, inputs: int, outputs: int, rank: int) -> int:
        """The rank as deployed: 0 (dense) where that is smaller and the rule says so."""
        if self.dense_when_smaller and rank * (inputs + outputs) >= inputs * outputs:
            return 0
        return rank

    def block_ranks(self, arch: ArchConfig, block: int, ratio: float) -> BlockRanks:
        """Ranks of the supernet's pairs, never 0, for the layer sizes of a network's block."""
        return _ranks(self, arch.block_linears(block), ratio)[0]

    def deployed_ranks(self, arch: ArchConfig, block: int, ratio: float) -> BlockRanks:
        """Ranks of the deployed block; 0 for a dense layer."""
        return _ranks(self, arch.block_linears(block), ratio)[1]


@functools.lru_cache(maxsize=4096)
def _ranks(
    rule: RankRule, linears: tuple[tuple[int, int, int], ...], ratio: float
) -> tuple[BlockRanks, BlockRanks]:
    """Ranks of the supernet and of the deployed block; remembered, for every step asks for some."""
    layers = zip(linears, (True, True, False, False), strict=True)  # qkv, proj, fc1, fc2
    pairs = [(i, o, rule.rank(i, o, ratio, attention)) for (i, o, _), attention in layers]
    return BlockRanks(*[p[2] for p in pairs]), BlockRanks(*[rule.deployed(*p) for p in pairs])
