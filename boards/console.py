# SPDX-License-Identifier: Apache-2.0
"""Pins, and the line that carries images, results and text."""

from __future__ import annotations

import dataclasses
import enum
import re

DEFAULT_BAUD = 115200
LOWEST_BAUD, HIGHEST_BAUD = 300, 12_000_000


@dataclasses.dataclass(frozen=True)
class Pin:
    """A pin and the alternate function it is switched to."""

    port: str
    number: int
    alternate: int = 0

    def __post_init__(self) -> None:
        if self.port not in tuple("ABCDEFGHIJK") or not 0 <= self.number <= 15:
            raise ValueError(f"pin P{self.port}{self.number}: expected PA0 .. PK15")
        if not 0 <= self.alternate <= 15:
            raise ValueError(f"{self.name}: alternate function {self.alternate}, expected 0 to 15")

    @property
    def name(self) -> str:
        """As the manuals call it, e.g. `PA9`."""
        return f"P{self.port}{self.number}"

    @classmethod
    def parse(cls, text: str) -> Pin:
        """The pin of `PA9:7`, port A, pin 9, alternate function 7; ValueError otherwise."""
        found = re.fullmatch(r"P([A-K])(1?[0-9]):(1?[0-9])", text)
        if not found:
            raise ValueError(f"pin {text!r}: expected e.g. PA9:7")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclasses.dataclass(frozen=True)
class Console:
    """A serial port of an STM32.

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
    """Consoles that need no register of the part; the values are words of a board's file."""

    SEMIHOSTING = "semihosting"  # Through the debugger.
    FUNCTIONS = "functions"  # board_putc() and board_getc(), which the user writes.


@dataclasses.dataclass(frozen=True)
class PortableConsole:
    """A console on any Cortex-M.

    Attributes:
      kind: how bytes travel.
      baud: bits per second of the user's own port; means nothing to semihosting.
    """

    kind: PortableConsoleKind
    baud: int = DEFAULT_BAUD

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
