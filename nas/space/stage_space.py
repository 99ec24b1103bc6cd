# SPDX-License-Identifier: Apache-2.0
"""One stage of a staged space: its choices as data, and one choice of each.

A stage space is to its dimensions (`nas.space.stage_dimensions`) what a `SearchSpace` is to those
of a network of one stage: they read their choices from it, and values from a `StageChoice`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_models.parts import later
from keras_models.stages import ATTENTION_BLOCKS, AttentionStage, ConvStage, Stage, StageGrid
from nas.space.checks import fail, known, made
from nas.space.dimension import Dimension
from nas.space.stage_dimensions import LEFT_OUT, STAGE_DIMENSIONS


@dataclasses.dataclass(frozen=True)
class StageChoice:
    """What one stage of a network is.

    Attributes:
      blocks: kind of its blocks, as in `ConvStage` and `AttentionStage`; "none" of a stage that the
        network leaves out, way down included, which has nothing but its depth of 0.
      width: of its tokens or pixels, None where the space says that of the stage before.
      depth: its blocks.
      window: side of windows, 0 where all tokens see all.
      heads, mlp_ratio: of each block of attention; empty for convolutions.
      weight_bits: of each block; empty where the space has no choice of them.
    """

    blocks: str
    width: int | None = None
    depth: int = 1
    window: int = 0
    heads: tuple[int, ...] = ()
    mlp_ratio: tuple[float, ...] = ()
    weight_bits: tuple[int, ...] = later(())

    @property
    def form(self) -> tuple[str, int]:
        """What the supernet computes otherwise, not only narrower or shallower."""
        return self.blocks, self.window


@dataclasses.dataclass(frozen=True)
class StageSpace:
    """Choices of a stage.

    Attributes:
      blocks: kinds, of "residual", "separable", "attention".
      width, depth: choices; no width means that of the stage before (down "none"). A depth of 0
        leaves the whole stage out, its way down and positions too.
      heads, mlp_ratio: of blocks of attention, each block for itself.
      window: sides of windows; none: all tokens see all.
      weight_bits: of blocks, each for itself; none: 8.
      head_dim, down, stride, position, norm, shift, bias, relative_position: of all networks, as
        in `AttentionStage`; `shift` where there are windows. Of convolutions `stride` counts.
    """

    blocks: tuple[str, ...]
    depth: tuple[int, ...]
    width: tuple[int, ...] = ()
    heads: tuple[int, ...] = ()
    mlp_ratio: tuple[float, ...] = ()
    window: tuple[int, ...] = ()
    head_dim: int = 32
    down: str = "none"
    stride: int = 1
    position: bool = False
    norm: bool = False
    shift: bool = False
    bias: bool = False
    relative_position: int = 0
    weight_bits: tuple[int, ...] = later(())

    def validate(self, where: str) -> None:
        """Raises SpaceError for wrong choices."""
        for dimension in STAGE_DIMENSIONS:
            dimension.validate(self, where)
        attends = ATTENTION_BLOCKS in self.blocks
        if not any(self.depth):
            fail(f"{where}.depth", self.depth, "a depth beside 0, or no such stage")
        for name in ("heads", "mlp_ratio"):
            if attends != bool(getattr(self, name)):
                expected = "choices" if attends else "none without attention"
                fail(f"{where}.{name}", getattr(self, name), expected)
        if self.window and not attends:
            fail(f"{where}.window", self.window, "none without attention")

    # ---- dimensions ----------------------------------------------------------------------------

    def dimensions(self, blocks: str | None = None) -> tuple[Dimension, ...]:
        """Those that it has; that networks with such blocks choose, if a kind is given."""
        found = [d for d in STAGE_DIMENSIONS if d.choices(self)]
        if blocks == LEFT_OUT:
            return tuple(d for d in found if d.name == "depth")
        if blocks is not None and blocks != ATTENTION_BLOCKS:
            found = [d for d in found if not d.of_attention]
        return tuple(found)

    @property
    def optional(self) -> bool:
        """Whether networks may leave it out."""
        return 0 in self.depth

    @property
    def depths(self) -> tuple[int, ...]:
        """Of networks that have it."""
        return tuple(depth for depth in self.depth if depth)

    def replace(self, **changes: Any) -> StageSpace:
        """A copy with some attributes changed; the space around it validates it."""
        return dataclasses.replace(self, **changes)

    # ---- networks ------------------------------------------------------------------------------

    def stage(self, choice: StageChoice, source: StageGrid) -> Stage:
        """The stage that was chosen, not one that is left out, behind such a map."""
        width = source.width if choice.width is None else choice.width
        if choice.blocks != ATTENTION_BLOCKS:
            return ConvStage(
                choice.blocks, width, choice.depth, self.stride, weight_bits=choice.weight_bits
            )
        return AttentionStage(
            width=width,
            heads=choice.heads,
            mlp_ratio=choice.mlp_ratio,
            head_dim=self.head_dim,
            down=self.down,
            stride=self.stride,
            position=self.position,
            norm=self.norm,
            window=choice.window,
            shift=self.shift and choice.window > 0,
            bias=self.bias,
            relative_position=self.relative_position,
            weight_bits=choice.weight_bits,
        )

    def choice(self, values: dict[str, Any]) -> StageChoice:
        """From a value of each dimension of its kind; those of blocks as tuples."""
        return StageChoice(**values) if values["depth"] else StageChoice(LEFT_OUT, depth=0)

    def check(self, choice: StageChoice, where: str) -> None:
        """Raises SpaceError unless the stage is one of these."""
        kinds = (*self.blocks, LEFT_OUT) if self.optional else self.blocks
        if choice.blocks not in kinds:
            fail(f"{where}.blocks", choice.blocks, f"one of {kinds}")
        if (choice.blocks == LEFT_OUT) != (choice.depth == 0):
            fail(f"{where}.depth", choice.depth, f"0 where blocks is {LEFT_OUT!r}, and only there")
        chosen = self.dimensions(choice.blocks)
        for d in STAGE_DIMENSIONS:
            got = getattr(choice, d.name)
            if d not in chosen:
                if got != d.absent:
                    fail(f"{where}.{d.name}", got, f"{d.absent!r} in this space")
                continue
            if d.per_block and not isinstance(got, tuple):
                fail(f"{where}.{d.name}", got, "a list, a value for each block")
            values = got if d.per_block else (got,)
            if d.per_block and len(values) != choice.depth:
                fail(f"{where}.{d.name}", got, f"{choice.depth} values, one per block")
            for value in values:
                if value not in d.choices(self):
                    fail(f"{where}.{d.name}", value, f"one of {d.choices(self)}")

    def forms(self) -> Iterator[tuple[str, int]]:
        """Of `StageChoice.form`, all."""
        for blocks in self.blocks if self.depths else ():
            windows = self.window if blocks == ATTENTION_BLOCKS else ()
            yield from itertools.product((blocks,), windows or (0,))
        if self.optional:
            yield LEFT_OUT, 0

    def of_form(self, form: tuple[str, int]) -> StageSpace:
        """The part of it that has that form."""
        blocks, window = form
        if blocks == LEFT_OUT:
            return self.replace(depth=(0,))
        own = self.replace(blocks=(blocks,), depth=self.depths)
        if blocks != ATTENTION_BLOCKS:
            return own.replace(heads=(), mlp_ratio=(), window=())
        return own.replace(window=(window,) if window else ())

    @property
    def size(self) -> int:
        """Exact number of choices."""
        total: int = int(self.optional)
        for blocks in self.blocks:
            chosen = self.dimensions(blocks)
            each = math.prod(len(d.choices(self)) for d in chosen if d.per_block)
            once = math.prod(
                len(d.choices(self))
                for d in chosen
                if not d.per_block and d.name not in ("blocks", "depth")
            )
            total += once * sum(int(each**depth) for depth in self.depths)
        return total

    def uniform(self, blocks: str, pick: Any) -> StageChoice:
        """A stage whose blocks are all alike, `pick(dimension)` of each dimension."""
        values = {d.name: pick(d) for d in self.dimensions(blocks)} | {"blocks": blocks}
        for d in self.dimensions(blocks):
            if d.per_block:
                values[d.name] = (values[d.name],) * values["depth"]
        return self.choice(values)

    def sample(self, rng: np.random.Generator) -> StageChoice:
        """Each dimension uniform among its choices, that of blocks for each block."""

        def draw(d: Dimension) -> Any:
            choices = d.choices(self)
            return choices[int(rng.integers(len(choices)))]

        blocks = self.blocks[int(rng.integers(len(self.blocks)))]
        chosen = self.dimensions(blocks)
        values = {d.name: draw(d) for d in chosen if not d.per_block} | {"blocks": blocks}
        for d in chosen:
            if d.per_block:
                values[d.name] = tuple(draw(d) for _ in range(values["depth"]))
        return self.choice(values)


def parse_stage_choice(where: str, data: object) -> StageChoice:
    """From plain data; SpaceError for an unknown or missing key."""
    found: StageChoice = made(where, StageChoice, known(where, data, StageChoice))
    return found


def parse_stage_space(where: str, data: object) -> StageSpace:
    """From plain data; SpaceError for an unknown or missing key."""
    found: StageSpace = made(where, StageSpace, known(where, data, StageSpace))
    return found
