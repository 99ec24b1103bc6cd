# SPDX-License-Identifier: Apache-2.0
"""The camera interface and its DMA stream, as registers of an emulated STM32F746."""

from __future__ import annotations

from firmware.emulator.faults import GuestFault
from firmware.emulator.machine import Machine
from firmware.emulator.peripherals import RegisterBlock

DCMI, DMA = 0x5005_0000, 0x4002_6000
_CR, _ICR = DCMI, DCMI + 0x14
_LISR, _LIFCR = DMA + 0x400, DMA + 0x408
_STREAM = DMA + 0x428  # CR, NDTR, PAR, M0AR, M1AR, FCR
_TCIF, _SECOND, _ENABLE = 1 << 11, 1 << 19, 1
_INVALIDATE = 0xEF5C  # of a line of the data cache, among the core's registers
_PORTS, _PORT_BYTES, _PORT_COUNT = 0x4002_0000, 0x400, 11


class CameraBoard(Machine):
    """The board with every port of its pins, and a camera."""

    def _find_block(self, address: int) -> tuple[RegisterBlock, int]:
        port, register = divmod(address - _PORTS, _PORT_BYTES)
        if not 0 <= port < _PORT_COUNT:
            return super()._find_block(address)
        made = RegisterBlock(f"port {port}", tuple(range(0, 0x28, 4)), self.chip.log)
        return self.chip.blocks.setdefault(_PORTS + port * _PORT_BYTES, made), register


class StubbedCamera:
    """Sends a frame by rows while firmware asks whether one has come.

    Args:
      machine: gets the registers.
      frame: bytes of each row.
      polls: questions to each row; 0 sends two rows at the first.
    """

    def __init__(self, machine: Machine, frame: list[bytes], polls: int) -> None:
        self._machine, self._frame, self._polls = machine, frame, polls
        self._values: dict[int, int] = {}
        self._asked = self._sent = 0
        machine.chip.system_control.values[_INVALIDATE] = 0
        for page in (DCMI, DMA):
            machine.map_registers(page, 0x1000, self._read, self._write)

    def _read(self, address: int, size: int) -> int:
        if size != 4:
            raise GuestFault(f"camera: {size}-byte access at {address:#x}, expected 4")
        if address == _LISR and self._is_on():
            self._asked += 1
            for _ in range(2 if not self._polls else self._asked % self._polls == 0):
                self._send()
        return self._values.get(address, 0)

    def _write(self, address: int, size: int, value: int) -> None:
        if size != 4:
            raise GuestFault(f"camera: {size}-byte access at {address:#x}, expected 4")
        if address == _LIFCR:
            self._values[_LISR] = self._values.get(_LISR, 0) & ~value
            return
        self._values[address] = value
        if address == _CR and value & 1:  # a new frame
            self._asked = self._sent = 0

    def _is_on(self) -> bool:
        on = self._values.get(_CR, 0) & 0x4001 == 0x4001
        return on and bool(self._values.get(_STREAM, 0) & _ENABLE)

    def _send(self) -> None:
        if self._sent == len(self._frame):
            return
        row = self._frame[self._sent]
        control, count, source, first, second = (
            self._values[_STREAM + 4 * register] for register in range(5)
        )
        if source != DCMI + 0x28 or 4 * count != len(row):
            raise GuestFault(f"camera: the stream reads {4 * count} bytes from {source:#x}")
        self._machine.write(second if control & _SECOND else first, row)
        self._values[_STREAM] = control ^ _SECOND
        self._values[_LISR] = self._values.get(_LISR, 0) | _TCIF
        self._sent += 1
