# SPDX-License-Identifier: Apache-2.0
"""Families of STM32: where their register blocks lie, and which drivers start them.

The addresses are those of the family's reference manual, memory map chapter (RM0090 section 2.3,
RM0385 section 2.2, RM0433 section 2.3); a board's file adds its clock, console and pins.
"""

from __future__ import annotations

import dataclasses
import enum

from boards.console import Console, Pin


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


# Clocks of the QSPI flash before the first byte of a read that does not follow the last one: chip
# select high, command and 24 address bits on one line, dummy cycles (Fast Read Quad Output, 0x6B,
# as firmware/src/stm32/quadspi.c reads the N25Q128A).
QUAD_SPI_SEEK_CLOCKS = 4 + 8 + 24 + 10


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


@dataclasses.dataclass(frozen=True)
class Stm32:
    """What the drivers need to know of a family.

    Attributes:
      family: its word in a board's file.
      clock_driver: the file in firmware/src/stm32 with clock_init(), without its suffix.
      usart: the kind of its serial ports; the value is the driver's name too.
      rcc_base: base address of the reset and clock control block.
      rcc_gpio_enable_offset: offset in RCC of the register with the GPIO clock enables (bit 0 = A).
      gpio_base: base address of GPIOA; the other ports follow every 0x400 bytes.
      blocks: those that every board of the family uses, RCC among them.
    """

    family: str
    clock_driver: str
    usart: Peripheral
    rcc_base: int
    rcc_gpio_enable_offset: int
    gpio_base: int
    blocks: tuple[PeripheralBlock, ...]

    def drivers(self, quad_spi: QuadSpi | None) -> tuple[str, ...]:
        """Names of the drivers of a board, sorted."""
        flash = ("quadspi",) if quad_spi else ()
        return tuple(sorted((self.clock_driver, "gpio", *flash, self.usart.value)))

    def peripherals(
        self, console: Console, quad_spi: QuadSpi | None
    ) -> tuple[PeripheralBlock, ...]:
        """Every register block that the firmware of a board touches, by address."""
        pins = (console.transmit, console.receive, *(quad_spi.pins if quad_spi else ()))
        ports = sorted({pin.port for pin in pins})
        blocks = [*self.blocks, PeripheralBlock(self.usart, console.name, console.base)]
        for port in ports:
            base = self.gpio_base + 0x400 * (ord(port) - ord("A"))
            blocks.append(PeripheralBlock(Peripheral.GPIO, f"GPIO{port}", base))
        if quad_spi:
            blocks.append(PeripheralBlock(Peripheral.QUADSPI, "QUADSPI", quad_spi.base))
        return tuple(sorted(blocks, key=lambda block: block.base))


_F4_F7_BLOCKS = (
    PeripheralBlock(Peripheral.PWR_F7, "PWR", 0x4000_7000),
    PeripheralBlock(Peripheral.RCC_F7, "RCC", 0x4002_3800),
    PeripheralBlock(Peripheral.FLASH_F7, "FLASH", 0x4002_3C00),
)
_H7_BLOCKS = (
    PeripheralBlock(Peripheral.FLASH_H7, "FLASH", 0x5200_2000),
    PeripheralBlock(Peripheral.SYSCFG, "SYSCFG", 0x5800_0400),
    PeripheralBlock(Peripheral.RCC_H7, "RCC", 0x5802_4400),
    PeripheralBlock(Peripheral.PWR_H7, "PWR", 0x5802_4800),
)
_F4 = Stm32(
    family="stm32f4",
    clock_driver="clock_f4_f7",
    usart=Peripheral.USART_V1,
    rcc_base=0x4002_3800,
    rcc_gpio_enable_offset=0x30,  # RCC_AHB1ENR, RM0090 section 6.3.10 and RM0385 section 5.3.10.
    gpio_base=0x4002_0000,
    blocks=_F4_F7_BLOCKS,
)
FAMILIES = (
    _F4,
    dataclasses.replace(_F4, family="stm32f7", usart=Peripheral.USART_V2),
    Stm32(
        family="stm32h7",
        clock_driver="clock_h7",
        usart=Peripheral.USART_V2,
        rcc_base=0x5802_4400,
        rcc_gpio_enable_offset=0xE0,  # RCC_AHB4ENR, RM0433 section 8.7.43.
        gpio_base=0x5802_0000,
        blocks=_H7_BLOCKS,
    ),
)
FAMILY_OF = {family.family: family for family in FAMILIES}
