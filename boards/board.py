# SPDX-License-Identifier: Apache-2.0
"""What a board is: a CPU, a clock tree, memory regions, a console and, maybe, a QSPI flash.

Everything that differs between boards of one microcontroller family is data here; the C code
reads it through the generated `board_config.h`, the linker through the generated script and the
emulator through the same objects, so the three can not disagree.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from pathlib import Path


class RegionKind(enum.Enum):
    """What a memory region can hold."""

    FLASH = "flash"  # Program memory: code, constants, weights.
    EXTERNAL_FLASH = "external_flash"  # Memory-mapped flash, e.g. QSPI: weights only.
    RAM = "ram"  # Data reached through the caches (if the core has any).
    TCM = "tcm"  # Data memory at core speed, never cached.
    ITCM = "itcm"  # Instruction memory at core speed, written by the start-up code.


@dataclasses.dataclass(frozen=True)
class Region:
    """One contiguous range of memory.

    Attributes:
      name: linker name, upper case, e.g. `FLASH`.
      base: first address.
      size_bytes: number of bytes; the region ends at `base + size_bytes - 1`.
      kind: what it may hold.
      read_megabytes_per_second: sequential read speed seen by the CPU, in 10^6 bytes/s.
      source: where base, size and speed come from.
      aliases: other base addresses at which the same bytes appear.
    """

    name: str
    base: int
    size_bytes: int
    kind: RegionKind
    read_megabytes_per_second: float
    source: str
    aliases: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.base + self.size_bytes

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end


class CycleCounter(enum.Enum):
    """What counts CPU cycles on the board."""

    DWT = "dwt"  # DWT_CYCCNT, 32 bits; optional in Armv7-M and Armv8-M, absent from Armv6-M.
    SYSTICK = "systick"  # The 24-bit system timer; its interrupt counts the wraps.


@dataclasses.dataclass(frozen=True)
class Core:
    """A CPU core as the compiler, the kernels and the emulator know it.

    Attributes:
      name: the compiler's -mcpu= value, e.g. `cortex-m7`.
      fpu: the compiler's -mfpu= value, or None for a core without one.
      dsp: True when SMLAD, SXTB16 and friends exist (__ARM_FEATURE_DSP).
      double_precision: True when the FPU executes double-precision instructions.
      instruction_cache_bytes: L1 instruction cache, 0 for none.
      data_cache_bytes: L1 data cache, 0 for none.
      mpu_regions: number of MPU regions that the firmware may use, 0 for none.
      cycle_counter: what counts cycles.
    """

    name: str
    fpu: str | None
    dsp: bool
    double_precision: bool
    instruction_cache_bytes: int
    data_cache_bytes: int
    mpu_regions: int
    cycle_counter: CycleCounter = CycleCounter.DWT

    def compiler_flags(self) -> tuple[str, ...]:
        """Flags that select this core, for arm-none-eabi-gcc."""
        flags = (f"-mcpu={self.name}", "-mthumb")
        if self.fpu is None:
            return (*flags, "-mfloat-abi=soft")
        return (*flags, f"-mfpu={self.fpu}", "-mfloat-abi=hard")


@dataclasses.dataclass(frozen=True)
class Clock:
    """The main PLL: source / m * n / p = system; all frequencies in Hz.

    `apb1_divider` and `apb2_divider` divide the AHB clock, which equals the system clock
    divided by `ahb_divider`. `flash_control` holds the bits of FLASH_ACR beside the wait states;
    `over_drive_above_hz` is where STM32F4 and F7 need the over-drive mode.
    """

    source_hz: int
    source_bypass: bool
    pll_m: int
    pll_n: int
    pll_p: int
    pll_q: int
    ahb_divider: int
    apb1_divider: int
    apb2_divider: int
    flash_wait_states: int
    flash_control: int
    over_drive_above_hz: int = 0

    @property
    def system_hz(self) -> int:
        """CPU clock in Hz."""
        return self.source_hz // self.pll_m * self.pll_n // self.pll_p

    @property
    def ahb_hz(self) -> int:
        """AHB clock in Hz."""
        return self.system_hz // self.ahb_divider

    @property
    def apb1_hz(self) -> int:
        """APB1 clock in Hz."""
        return self.ahb_hz // self.apb1_divider

    @property
    def apb2_hz(self) -> int:
        """APB2 clock in Hz."""
        return self.ahb_hz // self.apb2_divider


@dataclasses.dataclass(frozen=True)
class FixedClock:
    """A clock that runs already when the firmware starts; nothing sets it up. Frequency in Hz."""

    system_hz: int


@dataclasses.dataclass(frozen=True)
class Pin:
    """A pin and the alternate function it is switched to."""

    port: str
    number: int
    alternate: int = 0

    def __post_init__(self) -> None:
        if self.port not in tuple("ABCDEFGHIJK") or not 0 <= self.number <= 15:
            raise ValueError(f"pin P{self.port}{self.number}: expected PA0 .. PK15")


@dataclasses.dataclass(frozen=True)
class Console:
    """The serial port that carries images, results and text.

    Attributes:
      name: the peripheral, e.g. `USART1`.
      base: its base address.
      clock_enable_offset: offset in RCC of the register with its clock enable bit.
      clock_enable_bit: that bit.
      clock_hz: kernel clock in Hz.
      baud: bits per second.
      transmit: TX pin.
      receive: RX pin.
    """

    name: str
    base: int
    clock_enable_offset: int
    clock_enable_bit: int
    clock_hz: int
    baud: int
    transmit: Pin
    receive: Pin

    @property
    def description(self) -> str:
        """For a user: which port, and how it is set."""
        return f"serial port {self.name}, {self.baud} baud, 8N1"


class PortableConsoleKind(enum.Enum):
    """Consoles that need no register of the part; the values are drivers in src/generic/."""

    SEMIHOSTING = "console_semihosting"  # Through the debugger.
    FUNCTIONS = "console_functions"  # board_putc() and board_getc(), which the user writes.


@dataclasses.dataclass(frozen=True)
class PortableConsole:
    """A console on any Cortex-M.

    Attributes:
      kind: how bytes travel.
      baud: bits per second of the user's own port; means nothing to semihosting.
    """

    kind: PortableConsoleKind
    baud: int = 115200

    @property
    def name(self) -> str:
        """`semihosting`, or the functions."""
        semihosting = self.kind is PortableConsoleKind.SEMIHOSTING
        return "semihosting" if semihosting else "board_putc() and board_getc()"

    @property
    def description(self) -> str:
        """For a user: which port, and how it is set."""
        if self.kind is PortableConsoleKind.SEMIHOSTING:
            return "semihosting, through the debugger"
        return "your board_putc() and board_getc()"


@dataclasses.dataclass(frozen=True)
class QuadSpi:
    """The pins and the clock of a memory-mapped QSPI flash.

    Attributes:
      base: QUADSPI register base.
      prescaler: clock = AHB / (prescaler + 1).
      size_log2: flash size is 2**size_log2 bytes.
      pins: CLK, NCS, IO0..IO3.
      clock_enable_offset, clock_enable_bit: its clock enable in RCC.
    """

    base: int
    prescaler: int
    size_log2: int
    pins: tuple[Pin, ...]
    clock_enable_offset: int
    clock_enable_bit: int


class Peripheral(enum.Enum):
    """Register blocks that the emulator models."""

    RCC_F7 = "rcc_f7"  # Also STM32F4.
    PWR_F7 = "pwr_f7"  # Also STM32F4.
    FLASH_F7 = "flash_f7"  # Also STM32F4.
    GPIO = "gpio"
    USART_V1 = "usart_v1"
    USART_V2 = "usart_v2"
    QUADSPI = "quadspi"
    RCC_H7 = "rcc_h7"
    PWR_H7 = "pwr_h7"
    FLASH_H7 = "flash_h7"
    SYSCFG = "syscfg"


@dataclasses.dataclass(frozen=True)
class PeripheralBlock:
    """A register block: what it is, its address range, and its name for messages."""

    kind: Peripheral
    name: str
    base: int
    size_bytes: int = 0x400


@dataclasses.dataclass(frozen=True)
class FlashTool:
    """How the board is programmed.

    Attributes:
      openocd_config: OpenOCD board or interface+target configuration; None when it is not known.
      external_loader: STM32CubeProgrammer external loader for the QSPI flash, if any.
      stm32: STM32CubeProgrammer knows the part.
    """

    openocd_config: str | None
    external_loader: str | None = None
    stm32: bool = True


@dataclasses.dataclass(frozen=True)
class Stm32Registers:
    """Register blocks that every STM32 driver needs.

    Attributes:
      rcc_base: base address of the reset and clock control block.
      rcc_gpio_enable_offset: offset in RCC of the register with the GPIO clock enables (bit 0 = A).
      gpio_base: base address of GPIOA; the other ports follow every 0x400 bytes.
    """

    rcc_base: int
    rcc_gpio_enable_offset: int
    gpio_base: int


@dataclasses.dataclass(frozen=True)
class CubeIde:
    """Names that STM32CubeIDE gives to the part and the board (`genericBoard` if it has none)."""

    mcu: str
    board: str


@dataclasses.dataclass(frozen=True)
class Board:
    """A board, complete enough to build, link, emulate and program for.

    Attributes:
      name: the name used on command lines.
      title: human-readable name.
      part: microcontroller part number.
      drivers: names of the drivers in `firmware/src/stm32/` and `firmware/src/generic/` that the
        board uses; one of them implements clock_init(), one the console.
      core: CPU core.
      clock: clock tree.
      regions: every memory region that exists, and nothing else.
      arena_region, data_region, stack_region, code_region: region names, where the linker places
        the arena; .data/.bss; the stack; code, constants and internal weights.
      stack_bytes: bytes reserved for the stack; a multiple of 32 (MPU guard).
      stm32: register blocks of an STM32; None when the firmware touches the core's only.
      console: serial port.
      quad_spi: QSPI flash, if the board has one.
      peripherals: register blocks the firmware uses.
      flash_tool: how to program it.
      cube_ide: names for STM32CubeIDE projects; None when it does not know the part.
      mbed_target: Mbed OS target name, None when Mbed does not know the board.
      manual: reference manual of the part, or the file that describes the board.
      sources: C files of the user's, compiled with the firmware (src/generic/board_hooks.h).
    """

    name: str
    title: str
    part: str
    drivers: tuple[str, ...]
    core: Core
    clock: Clock | FixedClock
    regions: tuple[Region, ...]
    code_region: str
    arena_region: str
    data_region: str
    stack_region: str
    stack_bytes: int
    stm32: Stm32Registers | None
    console: Console | PortableConsole
    quad_spi: QuadSpi | None
    peripherals: tuple[PeripheralBlock, ...]
    flash_tool: FlashTool
    cube_ide: CubeIde | None
    mbed_target: str | None
    manual: str
    sources: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.code_region, self.arena_region, self.data_region, self.stack_region):
            self.region(name)
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

    def ram_bytes(self) -> int:
        """Bytes of all data memory (RAM and TCM, not ITCM)."""
        return sum(
            region.size_bytes
            for region in self.regions
            if region.kind in (RegionKind.RAM, RegionKind.TCM)
        )
