# SPDX-License-Identifier: Apache-2.0
"""MCUFormer's own figures for its networks, to compare with: memory model and parameter count.

The released search (supernet_engine.sample_legel_ratio) counts the input tokens, the hidden layer
and one weight factor in SRAM, one byte each, and neither attention, residuals, image nor stack:

    C * ((n + 1) * (1 + m) + C * m * ratio),   n = (240 / patch)^2, C embed_dim, m largest MLP ratio

It deploys a low-rank layer as three matrices in -> r, r -> r, r -> out.
"""

from __future__ import annotations

import fractions

from nas.space import SearchSpace, SubnetConfig, fail

RELATIVE_DISTANCE = 14  # tables of 2 * 14 + 2 rows, for keys and values, down and across


def peak_bytes(space: SearchSpace, config: SubnetConfig) -> float:
    """The published model of the peak, bytes."""
    if not config.rank_ratio:
        fail("SubnetConfig.rank_ratio", config.rank_ratio, "one (MCUFormer's spaces)")
    tokens = (space.image_size / config.patch.size) ** 2 + 1  # not whole where patches are padded
    dim, ratio = config.embed_dim, max(config.mlp_ratio)
    return float(dim * (tokens * (1 + ratio) + dim * ratio * config.rank_ratio[0]))


def legal_share(
    space: SearchSpace, rank_ratio: float, patch_size: int, limit_bytes: int
) -> fractions.Fraction:
    """Share of the sub-networks with that rank ratio and patch size whose modelled peak fits.

    Exact: each dimension uniform, the depth first, as the released code samples.
    """
    patch = next((p for p in space.patches if p.size == patch_size), None)
    if patch is None or space.ranks is None or rank_ratio not in space.ranks.ratios:
        fail("rank ratio and patch size", (rank_ratio, patch_size), f"choices of {space.name}")
    assert patch is not None
    share = fractions.Fraction(0)
    for dim in space.embed_dim:
        for depth in space.depth:
            below = 0  # networks of this depth whose largest MLP ratio is smaller
            for i, ratio in enumerate(space.mlp_ratio):
                upto = (i + 1) ** depth
                config = SubnetConfig(patch, dim, (1,), (ratio,), (rank_ratio,))
                if peak_bytes(space, config) <= limit_bytes:
                    share += fractions.Fraction(upto - below, len(space.mlp_ratio) ** depth)
                below = upto
    return share / (len(space.embed_dim) * len(space.depth))


def block_weights(space: SearchSpace, config: SubnetConfig) -> int:
    """Weights and biases of the transformer blocks' linear layers, as three matrices each."""
    total, arch = 0, space.dense_arch(config)
    for b in range(config.depth):
        ranks = space.block_ranks(config, b, arch)
        base = space.ranks.attention_base if space.ranks else 0
        ratio = config.rank_ratio[b] if config.rank_ratio else 0
        wide = int(base * ratio + 1e-9)  # not limited to the layer's own rank
        published = (wide, wide, ranks.fc1, ranks.fc2)
        for (inputs, outputs, _), rank in zip(arch.block_linears(b), published, strict=True):
            total += rank * (inputs + rank + outputs) + outputs
    return total


def parameters(space: SearchSpace, config: SubnetConfig) -> int:
    """Parameters of the published form, relative position tables included."""
    arch = space.arch(config)
    ours = sum(
        rank * (inputs + outputs) + outputs if rank else (inputs + 1) * outputs
        for b in range(arch.depth)
        for inputs, outputs, rank in arch.block_linears(b)
    )
    tables = config.depth * 4 * (2 * RELATIVE_DISTANCE + 2) * arch.head_dim
    if arch.relative_position:  # they are among its parameters
        tables = 0
    return arch.params - ours + block_weights(space, config) + tables
