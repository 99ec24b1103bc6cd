# SPDX-License-Identifier: Apache-2.0
"""Search spaces and the networks in them: what there is to choose from, and one choice of each."""

from nas.space.search_space import (
    BlockChoice,
    Patch,
    RankRule,
    SearchSpace,
    SpaceError,
    SubnetConfig,
    fail,
    parse_patch,
    parse_subnet,
)

__all__ = [
    "BlockChoice",
    "Patch",
    "RankRule",
    "SearchSpace",
    "SpaceError",
    "SubnetConfig",
    "fail",
    "parse_patch",
    "parse_subnet",
]
