# SPDX-License-Identifier: Apache-2.0
"""All register blocks of a board, made from the board's data."""

from __future__ import annotations

from collections.abc import Callable

from boards.board import Board
from boards.clock import FixedClock
from boards.console import Console
from boards.stm32 import Peripheral, PeripheralBlock
from firmware.emulator.faults import GuestFault
from firmware.emulator.hosted import PortableLine
from firmware.emulator.peripherals import (
    Power,
    PowerH7,
    RccF7,
    RccH7,
    RegisterBlock,
    RegisterWrite,
    SystemControl,
    Usart,
    UsartV1,
    UsartV2,
)
from firmware.emulator.quadspi import FlashDevice, QuadSpiController


def _gpio(block: PeripheralBlock, log: list[RegisterWrite]) -> RegisterBlock:
    return RegisterBlock(block.name, tuple(range(0, 0x28, 4)), log)


def _flash(block: PeripheralBlock, log: list[RegisterWrite]) -> RegisterBlock:
    return RegisterBlock(block.name, (0x00, 0x0C, 0x10, 0x14), log)


class Chip:
    """All register blocks of a board."""

    def __init__(
        self,
        board: Board,
        cycles: Callable[[], int],
        external_device: FlashDevice,
        on_external_mapped: Callable[[], None],
    ) -> None:
        self.log: list[RegisterWrite] = []
        self.system_control = SystemControl(self.log, board, cycles)
        self._board = board
        self._rcc = self._make_rcc()
        self._external_device = external_device
        self._on_external_mapped = on_external_mapped
        self.blocks: dict[int, RegisterBlock] = {
            block.base: self._make(block) for block in board.peripherals
        }
        self.console: Usart | PortableLine = self._make_console()

    def _make_rcc(self) -> RccF7 | RccH7 | None:
        stm32, clock = self._board.stm32, self._board.clock
        if stm32 is None or isinstance(clock, FixedClock):
            return None
        block = next(b for b in self._board.peripherals if b.base == stm32.rcc_base)
        model = RccH7 if block.kind is Peripheral.RCC_H7 else RccF7
        return model(block.name, self.log, clock.source_hz)

    @property
    def rcc(self) -> RccF7 | RccH7:
        """Reset and clock control of an STM32; GuestFault where the board has none."""
        if self._rcc is None:
            raise GuestFault(f"{self._board.name} has no RCC")
        return self._rcc

    def _make_console(self) -> Usart | PortableLine:
        console = self._board.console
        if not isinstance(console, Console):
            return PortableLine()
        usart = self.blocks[console.base]
        assert isinstance(usart, Usart)
        return usart

    def _make(self, block: PeripheralBlock) -> RegisterBlock:
        match block.kind:
            case Peripheral.RCC_F7 | Peripheral.RCC_H7:
                return self.rcc
            case Peripheral.PWR_F7:
                return Power(block.name, self.log)
            case Peripheral.PWR_H7:
                return PowerH7(block.name, self.log)
            case Peripheral.FLASH_H7:
                return RegisterBlock(block.name, (0x00, 0x0C, 0x10, 0x14), self.log)
            case Peripheral.SYSCFG:
                return RegisterBlock(block.name, tuple(range(0, 0x30, 4)), self.log)
            case Peripheral.USART_V1:
                return UsartV1(block.name, self.log, self._console_clocked)
            case Peripheral.GPIO:
                return _gpio(block, self.log)
            case Peripheral.FLASH_F7:
                return _flash(block, self.log)
            case Peripheral.USART_V2:
                return UsartV2(block.name, self.log, self._console_clocked)
            case Peripheral.QUADSPI:
                return self._quad_spi(block)
        raise ValueError(f"no emulation model for {block.kind}")

    def _console_clocked(self) -> bool:
        console = self._board.console
        assert isinstance(console, Console)
        return bool(self.rcc.values[console.clock_enable_offset] & 1 << console.clock_enable_bit)

    def _quad_spi_clocked(self) -> bool:
        quad_spi = self._board.quad_spi
        assert quad_spi is not None
        enables = self.rcc.values[quad_spi.clock_enable_offset]
        return bool(enables & 1 << quad_spi.clock_enable_bit)

    def _quad_spi(self, block: PeripheralBlock) -> QuadSpiController:
        region = self._board.external_flash()
        assert region is not None
        return QuadSpiController(
            block.name,
            self.log,
            self._quad_spi_clocked,
            self._external_device,
            region.size_bytes,
            self._on_external_mapped,
        )
