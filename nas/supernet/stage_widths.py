# SPDX-License-Identifier: Apache-2.0
"""How wide the weights of a supernet of stages are, so that every sub-network is in them."""

from __future__ import annotations

import dataclasses

from nas.space.staged_space import StagedSpace


@dataclasses.dataclass(frozen=True)
class StageWidths:
    """Of one stage of a supernet: the largest count of each of its masks; 0 of convolutions."""

    dim: int
    gate: int
    heads: int
    hidden: int
    four_bits: int


def stage_widths(space: StagedSpace) -> tuple[StageWidths, ...]:
    """The widths that hold every sub-network."""
    found, before = [], space.first_grid.width
    for stage in space.stages:
        before = max(stage.width, default=before)
        hidden = round(before * max(stage.mlp_ratio, default=0))
        found.append(
            StageWidths(
                before,
                max(stage.depth),
                max(stage.heads, default=0),
                hidden,
                int(4 in stage.weight_bits),
            )
        )
    return tuple(found)
