# SPDX-License-Identifier: Apache-2.0
"""What the linker does with data memory: stack, static data and arena, each in its region.

The linker script is made with the same alignments and the same order (firmware/templates/), and a
test links images that fit to the last byte, and images that just do not.
"""

from __future__ import annotations

import dataclasses

from boards.board import Board
from boards.memory import Region, Use

STACK_ALIGNMENT = 32
DATA_ALIGNMENT = 8
ARENA_ALIGNMENT = 32
# Left in the region for small arenas, for what an application adds.
APPLICATION_BYTES = 8192
_ORDER = ((Use.STACK, STACK_ALIGNMENT), (Use.DATA, DATA_ALIGNMENT), (Use.ARENA, ARENA_ALIGNMENT))


@dataclasses.dataclass(frozen=True)
class Placed:
    """One thing in a region: bytes from its start."""

    use: Use
    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.offset + self.size_bytes


@dataclasses.dataclass(frozen=True)
class Filled:
    """A region and what lies in it, in order."""

    region: Region
    parts: tuple[Placed, ...]

    @property
    def used_bytes(self) -> int:
        """From the start of the region to the end of the last part."""
        return self.parts[-1].end

    @property
    def excess_bytes(self) -> int:
        """By how much the region overflows; 0 if it does not."""
        return max(0, self.used_bytes - self.region.size_bytes)

    def describe(self) -> str:
        """For a message: `region SRAM: arena 232,208 bytes of 196,608, 35,600 too many`."""
        listed = " + ".join(f"{part.use.value} {part.size_bytes:,}" for part in self.parts)
        over = f", {self.excess_bytes:,} too many" if self.excess_bytes else ""
        return f"region {self.region.name}: {listed} bytes of {self.region.size_bytes:,}{over}"


def fill(board: Board, *, stack_bytes: int, data_bytes: int, arena_bytes: int) -> list[Filled]:
    """The regions of data memory with an image's parts, in the order of the board's regions.

    Args:
      stack_bytes: reserved for the stack.
      data_bytes: .data and .bss.
      arena_bytes: as declared, streaming state included.
    """
    sizes = {Use.STACK: stack_bytes, Use.DATA: data_bytes, Use.ARENA: arena_bytes}
    filled = []
    for region in board.regions:
        parts: list[Placed] = []
        for use, alignment in _ORDER:
            if board.place(use) == region:
                start = parts[-1].end if parts else 0
                parts.append(Placed(use, -(-start // alignment) * alignment, sizes[use]))
        if parts:
            filled.append(Filled(region, tuple(parts)))
    return filled


def arena_room(board: Board, *, stack_bytes: int, data_bytes: int) -> int:
    """Bytes of the largest arena that links; negative when there is not even room for the rest."""
    filled = fill(board, stack_bytes=stack_bytes, data_bytes=data_bytes, arena_bytes=0)
    if any(f.excess_bytes for f in filled if f.region.name != board.arena_region):
        return -1
    arena = next(f for f in filled if f.region.name == board.arena_region)
    return arena.region.size_bytes - arena.used_bytes


def overflowing(
    board: Board, *, stack_bytes: int, data_bytes: int, arena_bytes: int
) -> Filled | None:
    """The region that overflows most, or None when the image links."""
    filled = fill(board, stack_bytes=stack_bytes, data_bytes=data_bytes, arena_bytes=arena_bytes)
    worst = max(filled, key=lambda f: f.excess_bytes)
    return worst if worst.excess_bytes else None


def with_fast_arena(board: Board, *, stack_bytes: int, data_bytes: int, arena_bytes: int) -> Board:
    """The board with its arena in the region that it names for small ones.

    That is so if the region holds it beside what the linker puts there already and
    APPLICATION_BYTES; else the board is returned as it is.
    """
    if board.small_arena_region is None:
        return board
    moved = dataclasses.replace(board, arena_region=board.small_arena_region)
    filled = overflowing(
        moved,
        stack_bytes=stack_bytes,
        data_bytes=data_bytes,
        arena_bytes=arena_bytes + APPLICATION_BYTES,
    )
    return moved if filled is None else board
