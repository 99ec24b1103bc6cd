# SPDX-License-Identifier: Apache-2.0
"""Register blocks of the microcontroller and of the core, as far as the firmware uses them.

Each model knows exactly the registers it lists. Any other offset is a fault: the emulated board
has nothing that the model does not know about.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from typing import ClassVar

from boards.board import Board
from boards.core import CycleCounter
from firmware.emulator.faults import GuestFault


@dataclasses.dataclass(frozen=True)
class RegisterWrite:
    """One write to a register, for tests of a sequence."""

    block: str
    offset: int
    value: int


class RegisterBlock:
    """Registers that keep what is written. Subclasses give some of them a behaviour."""

    name: str

    def __init__(self, name: str, offsets: tuple[int, ...], log: list[RegisterWrite]) -> None:
        self.name = name
        self.values = dict.fromkeys(offsets, 0)
        self._log = log

    def _check(self, offset: int, size: int) -> None:
        if size != 4 or offset % 4:
            raise GuestFault(f"{self.name}: {size}-byte access at offset {offset:#x}, expected 4")
        if offset not in self.values:
            raise GuestFault(f"{self.name}: no register at offset {offset:#x} in this model")

    def read(self, offset: int, size: int) -> int:
        """Value of a register."""
        self._check(offset, size)
        return self.on_read(offset)

    def write(self, offset: int, size: int, value: int) -> None:
        """Writes a register."""
        self._check(offset, size)
        self._log.append(RegisterWrite(self.name, offset, value))
        self.on_write(offset, value)

    def on_read(self, offset: int) -> int:
        """Value of a register that exists."""
        return self.values[offset]

    def on_write(self, offset: int, value: int) -> None:
        """Effect of a write to a register that exists."""
        self.values[offset] = value


class RccF7(RegisterBlock):
    """Reset and clock control of STM32F4 and F7 (RM0385 section 5.3).

    Ready flags follow their enable bits at once; the switch status follows the switch.
    """

    CR, PLLCFGR, CFGR, AHB1ENR, AHB2ENR, AHB3ENR = 0x00, 0x04, 0x08, 0x30, 0x34, 0x38
    APB1ENR, APB2ENR = 0x40, 0x44
    _OFFSETS = (0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x20, 0x24, 0x30, 0x34, 0x38, 0x40, 0x44)
    _HSI_HZ = 16_000_000

    def __init__(self, name: str, log: list[RegisterWrite], source_hz: int) -> None:
        super().__init__(name, self._OFFSETS, log)
        self.values[self.CR] = 0x83  # HSI on and ready.
        self.values[self.PLLCFGR] = 0x2400_3010
        self._source_hz = source_hz

    def on_read(self, offset: int) -> int:
        value = self.values[offset]
        if offset == self.CR:
            ready = (value & (1 << 0 | 1 << 16 | 1 << 24)) << 1
            return value & ~(1 << 1 | 1 << 17 | 1 << 25) | ready
        if offset == self.CFGR:
            return value & ~0xC | (value & 3) << 2
        return value

    def system_hz(self) -> int:
        """The CPU clock that the registers select, in Hz."""
        control, pll, switch = (self.values[o] for o in (self.CR, self.PLLCFGR, self.CFGR))
        external_on = bool(control & 1 << 16)
        match switch & 3:
            case 0:
                return self._HSI_HZ
            case 1:
                return self._source_hz if external_on else 0
        source = (self._source_hz if external_on else 0) if pll & 1 << 22 else self._HSI_HZ
        if not control & 1 << 24:
            return 0
        divider = ((pll >> 16 & 3) + 1) * 2
        return source // (pll & 0x3F) * (pll >> 6 & 0x1FF) // divider


class RccH7(RegisterBlock):
    """Reset and clock control of STM32H743 (RM0433 section 8.7)."""

    CR, CFGR, D1CFGR, PLLCKSELR, PLLDIVR = 0x00, 0x10, 0x18, 0x28, 0x30
    _OFFSETS = (*range(0x00, 0x34, 4), 0xD4, 0xD8, 0xDC, 0xE0, 0xE4, 0xE8, 0xEC, 0xF0, 0xF4)
    _HSI_HZ = 64_000_000
    _READY = 1 << 2 | 1 << 17 | 1 << 25

    def __init__(self, name: str, log: list[RegisterWrite], source_hz: int) -> None:
        super().__init__(name, self._OFFSETS, log)
        self.values[self.CR] = 0x01  # HSI on.
        self._source_hz = source_hz

    def on_read(self, offset: int) -> int:
        value = self.values[offset]
        if offset == self.CR:
            ready = (value & 1) << 2 | (value & (1 << 16 | 1 << 24)) << 1
            return value & ~self._READY | ready
        if offset == self.CFGR:
            return value & ~0x38 | (value & 7) << 3
        return value

    def system_hz(self) -> int:
        """The CPU clock that the registers select, in Hz."""
        control, switch = self.values[self.CR], self.values[self.CFGR] & 7
        external = self._source_hz if control & 1 << 16 else 0
        if switch == 0:
            return self._HSI_HZ
        if switch == 2:
            return external
        if switch != 3 or not control & 1 << 24:
            return 0
        select, dividers = self.values[self.PLLCKSELR], self.values[self.PLLDIVR]
        source = external if select & 3 == 2 else self._HSI_HZ
        vco = source // (select >> 4 & 0x3F) * ((dividers & 0x1FF) + 1)
        return vco // ((dividers >> 9 & 0x7F) + 1)


class PowerH7(RegisterBlock):
    """PWR of STM32H743 (RM0433 section 6.8): every voltage is reached at once."""

    CSR1, D3CR = 0x04, 0x18

    def __init__(self, name: str, log: list[RegisterWrite]) -> None:
        super().__init__(name, tuple(range(0, 0x30, 4)), log)
        self.values[0x0C] = 0x46  # CR3: supply not locked yet, LDO on.

    def on_read(self, offset: int) -> int:
        ready = 1 << 13 if offset in (self.CSR1, self.D3CR) else 0
        return self.values[offset] | ready


class Power(RegisterBlock):
    """PWR of STM32F7 (RM0385 section 4.4): over-drive ready flags follow their enables."""

    CR1, CSR1 = 0x00, 0x04

    def __init__(self, name: str, log: list[RegisterWrite]) -> None:
        super().__init__(name, (0x00, 0x04, 0x08, 0x0C), log)
        self.values[self.CR1] = 0xC000

    def on_read(self, offset: int) -> int:
        value = self.values[offset]
        if offset == self.CSR1:
            return value | self.values[self.CR1] & (1 << 16 | 1 << 17) | 1 << 14
        return value


class Usart(RegisterBlock):
    """A serial port that is always ready to send. Subclasses say where its registers are.

    Attributes:
      received: bytes that the firmware has not taken yet.
      sent: bytes that the firmware has sent.
    """

    CR1: int
    BRR: int
    STATUS: int
    RECEIVE: int
    TRANSMIT: int
    _ENABLED: int  # UE and TE in CR1.
    _LAST: int

    def __init__(
        self,
        name: str,
        log: list[RegisterWrite],
        clocked: Callable[[], bool],
    ) -> None:
        super().__init__(name, tuple(range(0, self._LAST + 4, 4)), log)
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._clocked = clocked

    def _check(self, offset: int, size: int) -> None:
        super()._check(offset, size)
        if not self._clocked():
            raise GuestFault(f"{self.name} is used before its clock is enabled in RCC")

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == self.TRANSMIT:  # Not logged: every byte sent would be.
            self._check(offset, size)
            self._send(value)
            return
        super().write(offset, size, value)

    def _send(self, value: int) -> None:
        if self.values[self.CR1] & self._ENABLED != self._ENABLED:
            raise GuestFault(f"{self.name}: a byte is sent while UE or TE is off")
        self.sent.append(value & 0xFF)

    def on_read(self, offset: int) -> int:
        if offset == self.STATUS:
            return 0xC0 | (0x20 if self.received else 0)
        if offset == self.RECEIVE:
            return self.received.popleft() if self.received else 0
        return self.values[offset]


class UsartV2(Usart):
    """USART of STM32F7 and H7 (RM0385 section 31.8)."""

    CR1, BRR, STATUS, RECEIVE, TRANSMIT = 0x00, 0x0C, 0x1C, 0x24, 0x28
    _ENABLED = 1 << 0 | 1 << 3
    _LAST = 0x28


class UsartV1(Usart):
    """USART of STM32F4 (RM0090 section 30.6): one data register for both directions."""

    CR1, BRR, STATUS, RECEIVE, TRANSMIT = 0x0C, 0x08, 0x00, 0x04, 0x04
    _ENABLED = 1 << 13 | 1 << 3
    _LAST = 0x18


class SystemControl(RegisterBlock):
    """The private peripheral bus of the core: SCB, caches, MPU, DWT or SysTick (Armv7-M ARM,
    chapter B3).

    The cycle counter runs at one cycle per instruction: deterministic, and not a prediction of
    the real core. SysTick's interrupt does not happen, so what the firmware itself measures with it
    is modulo 2**24. A debugger counts as attached.
    """

    BASE, SIZE = 0xE000_0000, 0x10_0000
    _DWT_CTRL, _DWT_CYCCNT, _DWT_LAR, _DWT_LSR = 0x1000, 0x1004, 0x1FB0, 0x1FB4
    _DWT = (_DWT_CTRL, _DWT_CYCCNT, _DWT_LAR, _DWT_LSR)
    _SYST_CSR, _SYST_RVR, _SYST_CVR = 0xE010, 0xE014, 0xE018
    _SYSTICK = (_SYST_CSR, _SYST_RVR, _SYST_CVR)
    _DHCSR = 0xEDF0
    _CPUID, _CCSIDR, _MPU_TYPE, _DEMCR = 0xED00, 0xED80, 0xED90, 0xEDFC
    _OFFSETS = (
        *(_CPUID, 0xED04, 0xED08, 0xED0C, 0xED10, 0xED14, 0xED18, 0xED1C, 0xED20, 0xED24),
        *(0xED28, 0xED2C, 0xED34, 0xED38, 0xED88),
        *(_CCSIDR, 0xED84, _MPU_TYPE, 0xED94, 0xED98, 0xED9C, 0xEDA0, _DEMCR),
        *(0xEF50, 0xEF60, _DHCSR),
    )
    _CPUIDS: ClassVar[dict[str, int]] = {
        "cortex-m0plus": 0x410C_C601,
        "cortex-m3": 0x412F_C231,
        "cortex-m4": 0x410F_C241,
        "cortex-m7": 0x411F_C271,
        "cortex-m33": 0x410F_D213,
    }
    _LOCK_KEY = 0xC5AC_CE55

    def __init__(self, log: list[RegisterWrite], board: Board, cycles: Callable[[], int]) -> None:
        core = board.core
        systick = core.cycle_counter is CycleCounter.SYSTICK
        super().__init__("PPB", (*(self._SYSTICK if systick else self._DWT), *self._OFFSETS), log)
        is_m7 = core.name == "cortex-m7"
        self.values[self._CPUID] = self._CPUIDS[core.name]
        self.values[self._DHCSR] = 1  # C_DEBUGEN.
        self.values[self._MPU_TYPE] = core.mpu_regions << 8
        cache = core.data_cache
        if cache is not None:
            sets = cache.size_bytes // cache.line_bytes // cache.ways
            words_log2 = (cache.line_bytes // 4).bit_length() - 1
            shape = (sets - 1) << 13 | (cache.ways - 1) << 3 | (words_log2 - 2)
            self.values[self._CCSIDR] = 0xF000_0000 | shape
        self._cycles = cycles
        self._cycle_zero = 0
        self._locked = is_m7

    def on_read(self, offset: int) -> int:
        if offset == self._DWT_CYCCNT and self._counting():
            return self._cycles() - self._cycle_zero & 0xFFFF_FFFF
        if offset == self._SYST_CVR and self.values[self._SYST_CSR] & 1:
            last = self.values[self._SYST_RVR]
            return last - (self._cycles() - self._cycle_zero) % (last + 1)
        return self.values[offset]

    def _counting(self) -> bool:
        return bool(self.values[self._DWT_CTRL] & 1 and self.values[self._DEMCR] & 1 << 24)

    def on_write(self, offset: int, value: int) -> None:
        if offset == self._DWT_LAR:
            self._locked = self._locked and value != self._LOCK_KEY
            return
        if offset in (self._DWT_CTRL, self._DWT_CYCCNT) and self._locked:
            return  # The write is ignored, as on the real core.
        self.values[offset] = value
        if offset in (self._SYST_CVR, self._SYST_CSR):
            self.values[self._SYST_CVR] = 0
            self._cycle_zero = self._cycles()
        if offset in (self._DWT_CYCCNT, self._DWT_CTRL):
            self._cycle_zero = self._cycles() - self.values[self._DWT_CYCCNT]
