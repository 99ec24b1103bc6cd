# SPDX-License-Identifier: Apache-2.0
"""The network made by hand that `benchmarks.searched_or_random` compares with, and what it takes.

It is `hybrid_32` with all widths divided by about 2.5, for pictures of 24 pixels.
"""

from __future__ import annotations

from keras_models.parts import StemLayer
from keras_models.staged import StagedConfig
from keras_models.stages import AttentionStage, ConvStage
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.any_space import Searchable
from nas.space.checks import SpaceError
from nas.space.stage_space import StageChoice
from nas.space.staged_space import StagedSubnet

HAND_TEXT = "hybrid_32, a third as wide"

HAND_MADE = StagedConfig(
    name="hybrid_24_third",
    image_size=24,
    channels=3,
    num_classes=10,
    stem=(StemLayer(kernel=3, stride=1, channels=12, activation="relu", batch_norm=True),),
    stages=(
        ConvStage("residual", width=16, depth=2, stride=2),
        ConvStage("residual", width=40, stride=2),
        AttentionStage.uniform(
            width=40, depth=3, heads=3, head_dim=16, mlp_ratio=2.0, position=True
        ),
    ),
)
_LEFT_OUT = StageChoice("none", depth=0)
HAND_CHOICE = StagedSubnet(
    (
        StageChoice("residual", 16, 2),
        _LEFT_OUT,
        StageChoice("residual", 40, 1),
        StageChoice("attention", None, 3, 0, (3, 3, 3), (2.0, 2.0, 2.0)),
        _LEFT_OUT,
    )
)


def limits() -> Target:
    """What the hand-made network takes is what all may take."""
    cost = CostModel(Target(), streamed=True).cost(HAND_MADE)
    return Target(
        name="as much as the hand-made network",
        sram_bytes=cost.sram_bytes,
        flash_bytes=cost.flash_bytes,
        latency_ms=cost.latency_ms,
    )


def hand_choice_of(space: Searchable) -> StagedSubnet | None:
    """The hand-made network as one of a space, or None where the space does not hold it."""
    try:
        space.check(HAND_CHOICE)
    except SpaceError:
        return None
    made = space.arch(HAND_CHOICE)
    return HAND_CHOICE if made.replace(name=HAND_MADE.name) == HAND_MADE else None
