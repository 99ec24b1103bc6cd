# SPDX-License-Identifier: Apache-2.0
"""A sub-network as masks: numbers of fixed shape that select it in the supernet's weights.

Widths are data, not shapes, so that one compiled step serves every sub-network with the same
number of tokens. Selected are always the leading channels, heads, hidden units and ranks.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from nas.space import BlockChoice, SearchSpace, SubnetConfig

Mask = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Widths:
    """Widths of the supernet: the largest of each dimension in its space; ranks 0: dense layers."""

    depth: int
    dim: int
    heads: int
    hidden: int
    qkv: int
    proj: int
    fc1: int
    fc2: int


def widths_of(space: SearchSpace) -> Widths:
    """The widths that hold every sub-network of a space."""
    ratio = max(space.ranks.ratios) if space.ranks else None
    every = [
        space.block_ranks(dim, BlockChoice(heads, mlp, ratio))
        for dim in space.embed_dim
        for heads in space.heads
        for mlp in space.mlp_ratio
    ]
    return Widths(
        depth=max(space.depth),
        dim=max(space.embed_dim),
        heads=max(space.heads),
        hidden=max(round(d * m) for d in space.embed_dim for m in space.mlp_ratio),
        qkv=max(r.qkv for r in every),
        proj=max(r.proj for r in every),
        fc1=max(r.fc1 for r in every),
        fc2=max(r.fc2 for r in every),
    )


Masks = dict[str, Mask]  # a pytree of arrays, which is what compiled functions take


def masks_of(space: SearchSpace, widths: Widths, config: SubnetConfig) -> Masks:
    """The masks of a sub-network, float32 of zeros and ones.

    Returns:
      "dim" (dim,), and per block "gate" (depth,), "heads" (depth, heads), "hidden" (depth, hidden),
      "qkv", "proj", "fc1", "fc2" (depth, rank or 1 for dense layers).
    """

    def leading(length: int, count: int) -> Mask:
        return (np.arange(max(1, length)) < count).astype(np.float32)

    rows: dict[str, list[Mask]] = {k: [] for k in ("heads", "hidden", "qkv", "proj", "fc1", "fc2")}
    for b in range(widths.depth):
        used = b < config.depth
        choice = config.block(min(b, config.depth - 1))
        ranks = space.block_ranks(config.embed_dim, choice)
        rows["heads"].append(leading(widths.heads, choice.heads if used else 0))
        hidden = round(config.embed_dim * choice.mlp_ratio) if used else 0
        rows["hidden"].append(leading(widths.hidden, hidden))
        for name in ("qkv", "proj", "fc1", "fc2"):
            rank = getattr(ranks, name) if used else 0
            rows[name].append(leading(getattr(widths, name), rank))
    masks = {name: np.stack(row) for name, row in rows.items()}
    masks["dim"] = leading(widths.dim, config.embed_dim)
    masks["gate"] = leading(widths.depth, config.depth)
    return masks


def stack_masks(each: list[Masks]) -> Masks:
    """Masks of several sub-networks with a leading axis."""
    return {name: np.stack([m[name] for m in each]) for name in each[0]}
