# SPDX-License-Identifier: Apache-2.0
"""QUADSPI (RM0385 section 14) with a flash device behind it.

The flash's content becomes readable only when the firmware has brought controller and device into
a state in which the real ones would deliver it: right number of dummy cycles, quad mode enabled.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

from firmware.emulator.faults import GuestFault
from firmware.emulator.peripherals import RegisterBlock, RegisterWrite


class DeviceFamily(enum.Enum):
    """How a flash device is prepared for quad reads."""

    N25Q = "n25q"  # Dummy cycles in the volatile configuration register.
    W25Q = "w25q"  # Quad enable bit in status register 2, eight dummy cycles.


@dataclasses.dataclass(frozen=True)
class FlashDevice:
    """A flash part."""

    name: str
    jedec_id: bytes
    family: DeviceFamily


N25Q128A = FlashDevice("N25Q128A", bytes((0x20, 0xBA, 0x18)), DeviceFamily.N25Q)
W25Q128J = FlashDevice("W25Q128J", bytes((0xEF, 0x40, 0x18)), DeviceFamily.W25Q)

_WRITE_VCR = 0x81
_WRITE_STATUS_2 = 0x31
_QUAD_OUTPUT = 0x6B
_QUAD_ENABLE = 2
_W25Q_DUMMY_CYCLES = 8


class _DeviceState:
    """A flash device's registers and its reaction to commands."""

    def __init__(self, device: FlashDevice) -> None:
        self.device = device
        self._reset()

    def _reset(self) -> None:
        self._vcr = 0xFB
        self._status_2 = 0
        self._writable = False
        self._reset_armed = False

    def command(self, instruction: int) -> bytes:
        """Runs a command without data phase, or returns what a reading one delivers."""
        n25q = self.device.family is DeviceFamily.N25Q
        match instruction:
            case 0x66:
                self._reset_armed = True
                return b""
            case 0x99 if self._reset_armed:
                self._reset()
                return b""
            case 0x9F:
                return self.device.jedec_id
            case 0x06:
                self._writable = True
                return b""
            case 0x50 if not n25q:
                self._writable = True
                return b""
            case 0x85 if n25q:
                return bytes((self._vcr,))
            case 0x35 if not n25q:
                return bytes((self._status_2,))
        return b"\xff" * 4  # An unknown command: nothing drives the lines.

    def write(self, instruction: int, value: int) -> None:
        """A command that writes one byte; ignored unless writing was enabled."""
        if not self._writable:
            return
        self._writable = False
        n25q = self.device.family is DeviceFamily.N25Q
        if instruction == _WRITE_VCR and n25q:
            self._vcr = value
        elif instruction == _WRITE_STATUS_2 and not n25q:
            self._status_2 = value

    def quad_output_dummy_cycles(self) -> int | None:
        """Dummy cycles that 0x6B needs now; None when the device would not answer on four lines."""
        if self.device.family is DeviceFamily.N25Q:
            return self._vcr >> 4
        return _W25Q_DUMMY_CYCLES if self._status_2 & _QUAD_ENABLE else None


class QuadSpiController(RegisterBlock):
    """The controller."""

    CR, DCR, SR, FCR, DLR, CCR, AR, DR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20
    _MODE_WRITE, _MODE_READ, _MODE_MAPPED = 0, 1, 3

    def __init__(
        self,
        name: str,
        log: list[RegisterWrite],
        clocked: Callable[[], bool],
        device: FlashDevice,
        size_bytes: int,
        on_mapped: Callable[[], None],
    ) -> None:
        super().__init__(name, tuple(range(0, 0x34, 4)), log)
        self._clocked = clocked
        self._device = _DeviceState(device)
        self._size_bytes = size_bytes
        self._on_mapped = on_mapped
        self._incoming = bytearray()

    def _check(self, offset: int, size: int) -> None:
        super()._check(offset, 4 if offset == self.DR else size)
        if not self._clocked():
            raise GuestFault(f"{self.name} is used before its clock is enabled in RCC")

    def on_read(self, offset: int) -> int:
        if offset == self.SR:
            return 1 << 1  # Transfer complete, not busy.
        if offset == self.DR:
            if not self._incoming:
                raise GuestFault(f"{self.name}: DR is read, but no data was asked for")
            return self._incoming.pop(0)
        return self.values[offset]

    def on_write(self, offset: int, value: int) -> None:
        self.values[offset] = value
        if offset in (self.CCR, self.DR) and not self.values[self.CR] & 1:
            raise GuestFault(f"{self.name} is used before CR.EN is set")
        if offset == self.CCR:
            self._start(value)
        elif offset == self.DR:
            self._device.write(self.values[self.CCR] & 0xFF, value & 0xFF)

    def _start(self, value: int) -> None:
        instruction, mode, has_data = value & 0xFF, value >> 26 & 3, value >> 24 & 3
        if mode == self._MODE_MAPPED:
            self._map(value)
        elif mode == self._MODE_READ:
            count = self.values[self.DLR] + 1
            self._incoming = bytearray(self._device.command(instruction)[:count])
        elif not has_data:
            self._device.command(instruction)

    def _map(self, value: int) -> None:
        size = 2 << (self.values[self.DCR] >> 16 & 0x1F)
        if size != self._size_bytes:
            raise GuestFault(f"{self.name}: FSIZE says {size} bytes, the flash {self._size_bytes}")
        expected = self._device.quad_output_dummy_cycles()
        # Instruction and 24-bit address on one line, data on four.
        wanted = _QUAD_OUTPUT | 1 << 8 | 1 << 10 | 2 << 12 | 3 << 24
        shape = value & ~(0x1F << 18 | 3 << 26)
        if expected is None or shape != wanted or value >> 18 & 0x1F != expected:
            raise GuestFault(
                f"{self.name}: {self._device.device.name} would deliver garbage in memory-mapped "
                f"mode: CCR {value:#010x}, expected {expected} dummy cycles"
            )
        self._on_mapped()
