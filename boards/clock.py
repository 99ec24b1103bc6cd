# SPDX-License-Identifier: Apache-2.0
"""Clock trees."""

from __future__ import annotations

import dataclasses
import enum


class Bus(enum.Enum):
    """A peripheral bus whose clock the tree gives."""

    APB1 = "apb1"
    APB2 = "apb2"


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

    def bus_hz(self, bus: Bus) -> int:
        """Clock of a peripheral bus in Hz."""
        return self.apb1_hz if bus is Bus.APB1 else self.apb2_hz


@dataclasses.dataclass(frozen=True)
class FixedClock:
    """A clock that runs already when the firmware starts; nothing sets it up. Frequency in Hz."""

    system_hz: int
