# SPDX-License-Identifier: Apache-2.0
"""What a dimension sees of a space and of a network in it.

Spaces and networks are made from the dimensions, so that a dimension knows neither class.
"""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeVar

from keras_models.arch import ArchConfig, BlockRanks
from nas.space.patch import Patch
from nas.space.ranks import RankRule


class Network(Protocol):
    """A value of each dimension (`nas.space.SubnetConfig`)."""

    @property
    def patch(self) -> Patch:
        """Its patch embedding."""
        ...

    @property
    def rank_ratio(self) -> tuple[float, ...]:
        """A ratio for each block, or none."""
        ...


class Space(Protocol):
    """Choices of each dimension (`nas.space.SearchSpace`)."""

    @property
    def patches(self) -> tuple[Patch, ...]:
        """Patch embeddings to choose from."""
        ...

    @property
    def ranks(self) -> RankRule | None:
        """Low ranks to choose from; None for dense layers only."""
        ...

    def padding(self, patch: Patch) -> int:
        """Zeros on each side of what the patch embedding sees."""
        ...

    def block_ranks(self, config: Any, block: int, arch: ArchConfig | None = None) -> BlockRanks:
        """Ranks of the supernet's pairs in a block."""
        ...

    def replace(self, **changes: Any) -> Self:
        """A copy with some attributes changed, validated."""
        ...


AnySpace = TypeVar("AnySpace", bound=Space)
