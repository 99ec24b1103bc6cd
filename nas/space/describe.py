# SPDX-License-Identifier: Apache-2.0
"""Sub-networks in words."""

from __future__ import annotations

from typing import Any

from nas.space.search_space import SearchSpace, SubnetConfig


def describe(space: SearchSpace, config: SubnetConfig) -> str:
    """For example "patch 16, 216 wide, 14 deep, heads 4, mlp 4, rank 0.95"."""

    def values(of: tuple[Any, ...]) -> str:
        return f"{of[0]:g}" if len(set(of)) == 1 else ",".join(f"{v:g}" for v in of)

    rank = f", rank {values(config.rank_ratio)}" if config.rank_ratio else ""
    return (
        f"patch {config.patch.describe()}, {config.embed_dim} wide, {config.depth} deep, heads "
        f"{values(config.heads)}, mlp {values(config.mlp_ratio)}{rank}"
    )
