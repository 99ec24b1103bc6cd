# SPDX-License-Identifier: Apache-2.0
"""Whether a planned model fits a board, region by region, as the linker of its firmware says."""

from __future__ import annotations

import dataclasses
from typing import Any

from boards import Board, Region, Use
from boards.core import CycleCounter
from boards.placement import Filled, fill, with_fast_arena
from converter import footprint
from converter.code_size import ModelCall, Taken, code_bytes


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What decides the firmware around a model.

    Attributes:
      calls: of the model's operators, in order.
      row_bytes: of an image row, width * channels, or of a piece of another input.
      streamed: the image arrives in rows.
      names: of the model's inputs and outputs; () where it takes an image.
    """

    calls: tuple[ModelCall, ...]
    row_bytes: int
    streamed: bool
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class BoardFit:
    """A model in a board's memories.

    Attributes:
      data: the regions of data memory with stack, static data and arena.
      constant_bytes: of the model, names of classes included.
      code_bytes: beside them in internal flash.
    """

    board: Board
    data: tuple[Filled, ...]
    constant_bytes: int
    code_bytes: int

    @property
    def constants_region(self) -> Region:
        """Where the constants go, as the firmware decides when nothing is said."""
        code, external = self.board.place(Use.CODE), self.board.external_flash()
        if external is not None and self.constant_bytes > footprint.auto_room(code.size_bytes):
            return external
        return code

    @property
    def flash(self) -> tuple[tuple[Region, int], ...]:
        """Bytes of each programmed region."""
        code, constants = self.board.place(Use.CODE), self.constants_region
        if constants == code:
            return ((code, self.code_bytes + self.constant_bytes),)
        return ((code, self.code_bytes), (constants, self.constant_bytes))

    def misfit(self) -> str | None:
        """The region that overflows most, in words; None when the model fits."""
        worst = max(self.data, key=lambda filled: filled.excess_bytes)
        if worst.excess_bytes:
            return worst.describe()
        for region, used in self.flash:
            if used > region.size_bytes:
                excess = f"{used - region.size_bytes:,} too many"
                return f"region {region.name}: {used:,} bytes of {region.size_bytes:,}, {excess}"
        return None

    def arena_room(self) -> int:
        """Bytes that the arena may have, streaming state included; 0 for none."""
        arena = next(f for f in self.data if f.parts[-1].use is Use.ARENA)
        return max(0, arena.region.size_bytes - arena.parts[-1].offset)

    def rows(self) -> list[list[str]]:
        """A table: header, then a row for each region."""
        rows = [["region", "holds", "bytes", "of"]]
        for region, used in self.flash:
            holds = "code" if region == self.board.place(Use.CODE) else ""
            both = [holds, "constants" if region == self.constants_region else ""]
            listed = ", ".join(text for text in both if text)
            rows.append([region.name, listed, f"{used:,}", f"{region.size_bytes:,}"])
        for filled in self.data:
            listed = ", ".join(part.use.value for part in filled.parts)
            size = f"{filled.region.size_bytes:,}"
            rows.append([filled.region.name, listed, f"{filled.used_bytes:,}", size])
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Plain data; bytes everywhere."""
        used = [*self.flash, *((filled.region, filled.used_bytes) for filled in self.data)]
        return {
            "name": self.board.name,
            "fits": self.misfit() is None,
            "regions": [
                {"name": region.name, "used_bytes": size, "size_bytes": region.size_bytes}
                for region, size in used
            ],
        }


def fit_board(
    board: Board,
    around: Surroundings,
    *,
    planned_bytes: int,
    constant_bytes: int,
    stack_bytes: int | None = None,
    static_bytes: int | None = None,
) -> BoardFit:
    """Places a model in a board's memories, the arena in the fastest that holds it.

    Args:
      planned_bytes: of the arena, without streaming state.
      constant_bytes: of the model.
      stack_bytes: instead of what the board's linker script reserves.
      static_bytes: .data and .bss, instead of what this toolkit's firmware declares.
    """
    systick = board.core.cycle_counter is CycleCounter.SYSTICK
    if static_bytes is None:
        static_bytes = footprint.static_extent(
            len(around.calls), around.row_bytes, around.streamed, systick=systick
        )
    sizes = {
        "stack_bytes": board.stack_bytes if stack_bytes is None else stack_bytes,
        "data_bytes": static_bytes,
        "arena_bytes": footprint.arena_bytes(planned_bytes, around.streamed),
    }
    board = with_fast_arena(board, **sizes)
    filled = fill(board, **sizes)
    code = code_bytes(board, around.calls, Taken(around.streamed, around.names))
    return BoardFit(board, tuple(filled), constant_bytes, code)
