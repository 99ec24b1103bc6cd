# SPDX-License-Identifier: Apache-2.0
"""Sub-networks in words."""

from __future__ import annotations

from nas.space.dimension import Dimension
from nas.space.search_space import SearchSpace
from nas.space.subnet import SubnetConfig


def describe(space: SearchSpace, config: SubnetConfig) -> str:
    """For example "patch 16, 216 wide, 14 deep, heads 4, mlp 4, rank 0.95"."""

    def text(dimension: Dimension) -> str:
        value = getattr(config, dimension.name)
        if not dimension.per_block:
            return dimension.shown(value)
        same = len(set(value)) == 1
        return ",".join(dimension.shown(v) for v in (value[:1] if same else value))

    return ", ".join(d.text.format(text(d)) for d in space.dimensions)
