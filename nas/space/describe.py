# SPDX-License-Identifier: Apache-2.0
"""Sub-networks in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.space.any_space import AnySubnet, Searchable, expect_one_stage
from nas.space.dimension import Dimension
from nas.space.staged_space import StagedSpace, StagedSubnet


def describe(space: Searchable, config: AnySubnet) -> str:
    """For example "patch 16, 216 wide, 14 deep, heads 4, mlp 4, rank 0.95"; of stages one after
    another, "residual, 48 wide, 2 deep; none; attention, 96 wide, 3 deep, heads 3, mlp 2"."""
    if isinstance(space, StagedSpace) and isinstance(config, StagedSubnet):
        stages = zip(space.stages, config.stages, strict=True)
        return "; ".join(
            _text(stage.dimensions(own.blocks), own) if own.depth else own.blocks
            for stage, own in stages
        )
    return _text(expect_one_stage(space, "description").dimensions, config)


def _text(dimensions: Iterable[Dimension], config: Any) -> str:

    def text(dimension: Dimension) -> str:
        value = getattr(config, dimension.name)
        if not dimension.per_block:
            return dimension.shown(value)
        same = len(set(value)) == 1
        return ",".join(dimension.shown(v) for v in (value[:1] if same else value))

    return ", ".join(d.text.format(text(d)) for d in dimensions)
