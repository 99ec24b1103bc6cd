# SPDX-License-Identifier: Apache-2.0
"""What a network must fit: the memories and the clock of a board, and what the firmware takes.

A board's memories are its regions (boards/): the arena must fit the region where the linker puts
it, together with what else lies there. The firmware's own SRAM and code are
`converter.footprint`'s, which is what the linker says.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from boards import Board, Region, Use, get_board
from boards.core import Core, CycleCounter
from boards.placement import Filled, arena_room, overflowing
from converter import footprint
from converter.code_size import ModelCall, Taken, code_bytes
from converter.plan.fills import ArenaMemory, arena_memory

KIB = 1024
SRAM, FLASH, LATENCY = "SRAM", "flash", "latency"  # what a network may exceed
DEFAULT_BOARD = "stm32f746g_disco"


@dataclasses.dataclass(frozen=True)
class Firmware:
    """What decides the memory of the firmware around a network.

    Attributes:
      calls: of the fused network's operators, in order.
      row_bytes: of an image row, width * channels.
      streamed: the image arrives in rows.
    """

    calls: tuple[ModelCall, ...]
    row_bytes: int
    streamed: bool

    @property
    def operators(self) -> int:
        """Their number."""
        return len(self.calls)

    @property
    def state_bytes(self) -> int:
        """Of streaming, at the end of the arena."""
        return footprint.arena_bytes(0, self.streamed)


class BudgetError(ValueError):
    """A limit that cannot be met or makes no sense; the message says what could be met."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A board, or limits in bytes, hertz and milliseconds; None where there is no limit.

    Attributes:
      board: its regions hold; None for a machine of which only the figures below are known.
      sram_bytes: arena, streaming state, stack and static data together must fit.
      flash_bytes: internal flash: code, and the constants unless they are in external flash.
      external_flash_bytes: memory-mapped flash for the constants; None where there is none.
      clock_hz: of the core, for the latency estimate; None for the board's.
      latency_ms: limit of the estimate.
      stack_bytes: that the linker reserves.
    """

    name: str = "custom"
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    external_flash_bytes: int | None = None
    clock_hz: int | None = None
    latency_ms: float | None = None
    stack_bytes: int = footprint.STACK_RESERVED_BYTES
    board: Board | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("name", "board") and value is not None and value <= 0:
                raise BudgetError(f"Target.{field.name}: got {value}, expected a positive number")

    @classmethod
    def of_board(cls, board: Board) -> Target:
        """All that a board has."""
        external = board.external_flash()
        return cls(
            name=board.name,
            flash_bytes=board.place(Use.CODE).size_bytes,
            external_flash_bytes=external.size_bytes if external else None,
            stack_bytes=board.stack_bytes,
            board=board,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a record: the figures, and a board's regions with what they hold."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["board"]
        fields["clock_hz"] = self.core_hz
        if self.board is not None:
            fields["regions"] = [
                {
                    "name": region.name,
                    "size_bytes": region.size_bytes,
                    "holds": [u.value for u in _USES if self.board.place(u) == region],
                }
                for region in self.board.regions
                if any(self.board.place(u) == region for u in _USES)
            ]
        return fields

    def overhead_bytes(self, firmware: Firmware) -> int:
        """SRAM beside the arena."""
        return self.stack_bytes + self.static_bytes(firmware)

    def static_bytes(self, firmware: Firmware) -> int:
        """.data and .bss without the arena, as linked; streaming state included."""
        linked = footprint.static_bytes(
            firmware.operators, firmware.row_bytes, firmware.streamed, systick=self._systick
        )
        return linked + firmware.state_bytes

    @property
    def _systick(self) -> bool:
        return self.core.cycle_counter is CycleCounter.SYSTICK

    def _extent(self, firmware: Firmware) -> int:
        return footprint.static_extent(
            firmware.operators, firmware.row_bytes, firmware.streamed, systick=self._systick
        )

    def arena_bytes(self, firmware: Firmware) -> int | None:
        """What SRAM leaves for the arena, 0 if nothing; None without a limit."""
        limits = []
        if self.sram_bytes is not None:
            limits.append(self.sram_bytes - self.overhead_bytes(firmware))
        if self.board is not None:
            room = arena_room(
                self.board, stack_bytes=self.stack_bytes, data_bytes=self._extent(firmware)
            )
            limits.append(room - firmware.state_bytes)
        return max(0, min(limits)) if limits else None

    def arena_memory(self, firmware: Firmware, arena_bytes: int) -> ArenaMemory:
        """What the arena lies in; of the default board where the target's is not known."""
        size = arena_bytes + firmware.state_bytes
        return _arena_memory(self.board, self.stack_bytes, self._extent(firmware), size)

    def excess(self, firmware: Firmware, arena_bytes: int) -> str:
        """Of an arena that does not fit: which memory is too small, and by how much."""
        filled = self._overflowing(firmware, arena_bytes)
        if filled is None:
            return SRAM
        return f"{SRAM} region {filled.region.name} by {filled.excess_bytes:,} bytes"

    def _overflowing(self, firmware: Firmware, arena_bytes: int) -> Filled | None:
        if self.board is None:
            return None
        return overflowing(
            self.board,
            stack_bytes=self.stack_bytes,
            data_bytes=self._extent(firmware),
            arena_bytes=arena_bytes + firmware.state_bytes,
        )

    def describe_sram(self) -> str:
        """The limit in words."""
        total = None if self.sram_bytes is None else f"{self.sram_bytes:,} bytes"
        if self.board is None:
            return total or "no limit"
        region = self.board.place(Use.ARENA)
        regions = f"region {region.name} of {self.board.name}, {region.size_bytes:,} bytes"
        return regions if total is None else f"{total}, {regions}"

    def code_bytes(self, firmware: Firmware) -> int:
        """Flash beside the network's constants."""
        taken = Taken(firmware.streamed)
        return code_bytes(self.board or _default_board(), firmware.calls, taken)

    def constant_bytes(self, firmware: Firmware) -> int | None:
        """What flash leaves for the network's constants beside the code; None without a limit."""
        if self.external_flash_bytes is not None:
            return max(self.external_flash_bytes, footprint.auto_room(self.flash_bytes or 0))
        return (
            None
            if self.flash_bytes is None
            else max(0, self.flash_bytes - self.code_bytes(firmware))
        )

    def is_external(self, constant_bytes: int) -> bool:
        """Whether constants lie in external flash, as the firmware decides where it may."""
        if self.external_flash_bytes is None:
            return False
        return constant_bytes > footprint.auto_room(self.flash_bytes or 0)

    def weights_region(self, external: bool) -> Region:
        """The memory that constants are read from; as fast as the default board's where the
        target's own is not known."""
        known = self.board or _default_board()
        if not external:
            return known.place(Use.CODE)
        region = known.external_flash() or _default_board().external_flash()
        assert region is not None
        return region

    @property
    def core_hz(self) -> int:
        """Clock of the core in Hz."""
        return self.clock_hz or (self.board or _default_board()).clock.system_hz

    @property
    def core(self) -> Core:
        """The core whose code is linked and whose cycles are estimated."""
        return (self.board or _default_board()).core


@functools.cache
def _default_board() -> Board:
    """What is taken for a target of which only sizes are known: its clock, core and speeds."""
    return get_board(DEFAULT_BOARD)


@functools.lru_cache(maxsize=64)
def _arena_memory(
    board: Board | None, stack_bytes: int, data_bytes: int, arena_bytes: int
) -> ArenaMemory:
    return arena_memory(
        board or _default_board(),
        stack_bytes=stack_bytes,
        data_bytes=data_bytes,
        arena_bytes=arena_bytes,
    )


_USES = (Use.CODE, Use.ARENA, Use.DATA, Use.STACK)
