# SPDX-License-Identifier: Apache-2.0
"""What a board is: a core, a clock, memory regions, a console and, maybe, a QSPI flash.

Everything that differs between boards is data here. The search and the planner read sizes and
speeds, the C code the generated `board_config.h`, the linker the generated script, and the emulator
the same objects, so that they can not disagree.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from pathlib import Path

from boards.clock import Clock, FixedClock
from boards.console import Console, PortableConsole
from boards.core import Core
from boards.memory import Region, RegionKind, Use
from boards.stm32 import PeripheralBlock, QuadSpi, Stm32


@dataclasses.dataclass(frozen=True)
class FlashTool:
    """How the board is programmed.

    Attributes:
      openocd_configs: OpenOCD configuration files, in order; none when they are not known.
      external_loader: STM32CubeProgrammer external loader for the QSPI flash, if any.
      stm32: STM32CubeProgrammer knows the part.
    """

    openocd_configs: tuple[str, ...] = ()
    external_loader: str | None = None
    stm32: bool = True


@dataclasses.dataclass(frozen=True)
class CubeIde:
    """Names that STM32CubeIDE gives to the part and the board (`genericBoard` if it has none)."""

    mcu: str
    board: str


@dataclasses.dataclass(frozen=True)
class Board:
    """A board, complete enough to search, build, link, emulate and program for.

    Attributes:
      name: the name used on command lines.
      title: human-readable name.
      part: microcontroller part number.
      core: CPU core.
      clock: clock tree.
      regions: every memory region that exists, and nothing else.
      arena_region, data_region, stack_region, code_region: region names, where the linker places
        the arena; .data/.bss; the stack; code, constants and internal weights.
      stack_bytes: bytes reserved for the stack; a multiple of 32 (MPU guard).
      stm32: family of an STM32; None when the firmware touches the core's registers only.
      console: serial port.
      quad_spi: QSPI flash that the firmware starts, if the board has one.
      flash_tool: how to program it.
      cube_ide: names for STM32CubeIDE projects; None when it does not know the part.
      mbed_target: Mbed OS target name, None when Mbed does not know the board.
      manual: reference manual of the part, or the file that describes the board.
      notes: where the figures come from, a sentence each.
      sources: C files of the user's, compiled with the firmware (src/generic/board_hooks.h).
      qemu: QEMU's name of a machine with this board's memories, or None.
      small_arena_region: of a faster region, for an arena that it holds (boards.placement).
    """

    name: str
    title: str
    part: str
    core: Core
    clock: Clock | FixedClock
    regions: tuple[Region, ...]
    code_region: str
    arena_region: str
    data_region: str
    stack_region: str
    stack_bytes: int
    stm32: Stm32 | None
    console: Console | PortableConsole
    quad_spi: QuadSpi | None
    flash_tool: FlashTool
    cube_ide: CubeIde | None
    mbed_target: str | None
    manual: str
    notes: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()
    small_arena_region: str | None = None
    qemu: str | None = None

    def __post_init__(self) -> None:
        for use, name in self._places():
            if not self.region(name).can_hold(use):
                raise ValueError(f"board {self.name}: region {name} can not hold {use.value}")
        if self.stack_bytes <= 0 or self.stack_bytes % 32:
            raise ValueError(
                f"board {self.name}: stack_bytes is {self.stack_bytes}, "
                "expected a positive multiple of 32"
            )
        if (self.stm32 is None) != isinstance(self.console, PortableConsole):
            raise ValueError(
                f"board {self.name}: a serial port needs the STM32's registers, "
                "other boards have a portable console"
            )
        ordered = sorted(self.regions, key=lambda region: region.base)
        for left, right in itertools.pairwise(ordered):
            if left.end > right.base:
                raise ValueError(f"board {self.name}: regions {left.name} and {right.name} overlap")

    def _places(self) -> tuple[tuple[Use, str], ...]:
        return (
            (Use.CODE, self.code_region),
            (Use.ARENA, self.arena_region),
            (Use.DATA, self.data_region),
            (Use.STACK, self.stack_region),
        )

    def place(self, use: Use) -> Region:
        """Where the linker puts code, arena, data or stack."""
        return self.region(dict(self._places())[use])

    @property
    def drivers(self) -> tuple[str, ...]:
        """Names of the drivers in `firmware/src/stm32/` and `firmware/src/generic/`, sorted."""
        if self.stm32 is not None:
            return self.stm32.drivers(self.quad_spi)
        assert isinstance(self.console, PortableConsole)
        return ("board_hooks", f"console_{self.console.kind.value}")

    @functools.cached_property
    def peripherals(self) -> tuple[PeripheralBlock, ...]:
        """Register blocks the firmware uses, by address."""
        if self.stm32 is None or isinstance(self.console, PortableConsole):
            return ()
        return self.stm32.peripherals(self.console, self.quad_spi)

    def region(self, name: str) -> Region:
        """The region called `name`; ValueError names the regions that exist."""
        for region in self.regions:
            if region.name == name:
                return region
        known = ", ".join(region.name for region in self.regions)
        raise ValueError(f"board {self.name} has no memory region {name!r}; it has {known}")

    def external_flash(self) -> Region | None:
        """The memory-mapped external flash, or None."""
        for region in self.regions:
            if region.kind is RegionKind.EXTERNAL_FLASH:
                return region
        return None
