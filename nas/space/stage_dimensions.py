# SPDX-License-Identifier: Apache-2.0
"""What the stages of a staged space choose, each declared here and nowhere else.

Each stage has choices of its own, so that their scope is the stage or its block. Width, depth,
window, heads and MLP ratio are S3's (Chen et al., NeurIPS 2021); heads are its q-k-v width too,
for a head has a fixed one. The kind of blocks is ours. Masks have the names of those of a network
of one stage, and select the same parts of a block.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_models.stages import ATTENTION_BLOCKS, CONV_BLOCKS
from nas.space.checks import fail
from nas.space.dimension import Dimension, Mask
from nas.space.dimensions import MAX_DEPTH, WeightBitsDimension

LEFT_OUT = "none"  # kind of a stage that a network does not have


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageDimension(Dimension):
    """One thing that each stage chooses, or each of its blocks.

    Attributes:
      of_attention: convolutions do not have it.
    """

    per_stage: bool = True
    of_attention: bool = False

    @property
    def absent(self) -> Any:
        """What a `StageChoice` has where the stage does not have the dimension."""
        return () if self.per_block else self.missing

    missing: Any = None


class _Blocks(StageDimension):
    """Kinds of blocks are names."""

    def validate(self, space: Any, where: str = "") -> None:
        kinds = (*CONV_BLOCKS, ATTENTION_BLOCKS)
        if not isinstance(space.blocks, tuple) or not space.blocks:
            fail(f"{where}.blocks", space.blocks, "a non-empty list of kinds")
        for kind in space.blocks:
            if kind not in kinds:
                fail(f"{where}.blocks", kind, f"one of {', '.join(kinds)}")
        if len(set(space.blocks)) != len(space.blocks):
            fail(f"{where}.blocks", space.blocks, "kinds that differ")

    def shown(self, value: str) -> str:
        return value


class _StageWeightBits(WeightBitsDimension, StageDimension):
    """Bits of the weights of a block, of attention or of convolutions."""


STAGE_DIMENSIONS: tuple[StageDimension, ...] = (
    _Blocks(name="blocks", text="{}", kinds=(str,), missing=LEFT_OUT),
    StageDimension(
        name="width",
        text="{} wide",
        default=(),
        high=8192,
        masks=(Mask("dim", lambda space, config, stage, block: stage.width, False),),
        seldom=True,
        limits=(8.0, 1536.0),
    ),
    StageDimension(
        name="depth",
        text="{} deep",
        low=0,
        high=MAX_DEPTH,
        masks=(Mask("gate", lambda space, config, stage, block: config.depth, False),),
        seldom=True,
        limits=(1.0, 36.0),
    ),
    StageDimension(
        name="window",
        text="windows {}",
        default=(),
        low=0,
        high=64,
        of_attention=True,
        missing=0,
    ),
    StageDimension(
        name="heads",
        text="heads {}",
        default=(),
        per_block=True,
        high=256,
        of_attention=True,
        masks=(Mask("heads", lambda space, config, stage, block: stage.heads[block]),),
        limits=(1.0, 48.0),
    ),
    StageDimension(
        name="mlp_ratio",
        text="mlp {}",
        param="mlp",
        default=(),
        per_block=True,
        kinds=(float, int),
        low=1e-3,
        high=64,
        of_attention=True,
        masks=(
            Mask(
                "hidden",
                lambda space, config, stage, block: round(stage.width * stage.mlp_ratio[block]),
            ),
        ),
        limits=(0.5, 6.0),
    ),
    _StageWeightBits(
        name="weight_bits",
        text="weights of {} bits",
        param="bits",
        default=(),
        per_block=True,
        low=4,
        high=8,
        masks=(
            Mask(
                "four_bits",
                lambda space, config, stage, block: int(4 in stage.weight_bits[block : block + 1]),
            ),
        ),
    ),
)
