# SPDX-License-Identifier: Apache-2.0
"""Search spaces and the networks in them: what there is to choose from, and one choice of each."""

from nas.space.checks import SpaceError, fail
from nas.space.dimension import Dimension, Scope
from nas.space.dimensions import DIMENSIONS
from nas.space.patch import Patch, parse_patch
from nas.space.ranks import RankRule
from nas.space.search_space import SearchSpace
from nas.space.subnet import BlockChoice, NetworkChoice, SubnetConfig, parse_subnet

__all__ = [
    "DIMENSIONS",
    "BlockChoice",
    "Dimension",
    "NetworkChoice",
    "Patch",
    "RankRule",
    "Scope",
    "SearchSpace",
    "SpaceError",
    "SubnetConfig",
    "fail",
    "parse_patch",
    "parse_subnet",
]
