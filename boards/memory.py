# SPDX-License-Identifier: Apache-2.0
"""Memory regions: where they lie, how fast they are read, and what each can hold."""

from __future__ import annotations

import dataclasses
import enum


class Use(enum.Enum):
    """What the linker, or the start-up code, puts into a region."""

    CODE = "code"  # Programmed; executed in place.
    CONSTANTS = "constants"  # Programmed; weights and tables.
    ARENA = "arena"  # Tensors and scratch.
    DATA = "data"  # Static data: .data and .bss.
    STACK = "stack"
    FAST_CODE = "fast_code"  # Copied at start, executed from there.


class RegionKind(enum.Enum):
    """What a memory region is."""

    FLASH = "flash"  # Program memory: code, constants, weights.
    EXTERNAL_FLASH = "external"  # Memory-mapped flash, e.g. QSPI: weights only.
    RAM = "sram"  # Data reached through the caches (if the core has any).
    TCM = "tcm"  # Data memory at core speed, never cached.
    ITCM = "itcm"  # Instruction memory at core speed, written by the start-up code.


USES = {
    RegionKind.FLASH: (Use.CODE, Use.CONSTANTS),
    RegionKind.EXTERNAL_FLASH: (Use.CONSTANTS,),
    RegionKind.RAM: (Use.ARENA, Use.DATA, Use.STACK),
    RegionKind.TCM: (Use.ARENA, Use.DATA, Use.STACK),
    RegionKind.ITCM: (Use.FAST_CODE,),
}


@dataclasses.dataclass(frozen=True)
class Region:
    """One contiguous range of memory.

    Attributes:
      name: linker name, upper case, e.g. `FLASH`.
      base: first address.
      size_bytes: number of bytes; the region ends at `base + size_bytes - 1`.
      kind: what it is.
      read_megabytes_per_second: sequential read speed seen by the CPU, in 10^6 bytes/s. Everything
        that estimates time takes it from here.
      source: where base, size and speed come from.
      tightly_coupled_bytes: how many of its first bytes are tightly coupled memory: at core speed,
        never cached. All of a TCM or ITCM.
      seek_nanoseconds: what a read that does not follow the one before takes on top.
      aliases: other base addresses at which the same bytes appear.
      usable: False where the firmware puts nothing, e.g. because its clock is off after reset.
    """

    name: str
    base: int
    size_bytes: int
    kind: RegionKind
    read_megabytes_per_second: float
    source: str
    aliases: tuple[int, ...] = ()
    usable: bool = True
    tightly_coupled_bytes: int = 0
    seek_nanoseconds: float = 0.0

    @property
    def cached_base(self) -> int:
        """The first address that is read through the data cache, where the core has one; `end`
        where there is none."""
        if self.kind in (RegionKind.TCM, RegionKind.ITCM):
            return self.end
        return self.base + self.tightly_coupled_bytes

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.base + self.size_bytes

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end

    def can_hold(self, use: Use) -> bool:
        """Whether the linker may put that here."""
        return self.usable and use in USES[self.kind]

    def read_milliseconds(self, size_bytes: float) -> float:
        """Time to read so many bytes in sequence, with nothing in a cache."""
        return size_bytes / (1e3 * self.read_megabytes_per_second)

    def seek_cycles(self, clock_hz: int) -> float:
        """Core cycles of a seek at a core clock in Hz."""
        return clock_hz * self.seek_nanoseconds / 1e9

    def cycles_per_byte(self, clock_hz: int) -> float:
        """Core cycles to read one byte in sequence at a core clock in Hz."""
        return clock_hz / (1e6 * self.read_megabytes_per_second)
