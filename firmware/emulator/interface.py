# SPDX-License-Identifier: Apache-2.0
"""What a booted board is to `firmware.emulator.session`, whichever emulator runs its core."""

from __future__ import annotations

import abc
import dataclasses
from collections import deque
from collections.abc import Sequence
from typing import Protocol

STACK_PAINT = 0xA5A5A5A5


class Line(Protocol):
    """The console: bytes that the firmware has not taken yet, and those that it has sent."""

    received: deque[int]
    sent: bytearray


@dataclasses.dataclass(frozen=True)
class OperatorReading:
    """What one operator did in one inference: instructions, calls, stack below its caller."""

    instructions: int
    calls: int
    stack_bytes: int


@dataclasses.dataclass(frozen=True)
class Marks:
    """Where an inference is measured.

    Attributes:
      start, stop, operator: addresses of meter_start, meter_stop and meter_operator.
      operators: how many operators meter_operator may name.
      stack_bottom, stack_top: the stack's addresses.
    """

    start: int
    stop: int
    operator: int
    operators: int
    stack_bottom: int
    stack_top: int


class BoardMachine(abc.ABC):
    """A board with one ELF in it."""

    @property
    @abc.abstractmethod
    def line(self) -> Line:
        """Its console."""

    @abc.abstractmethod
    def run(self, stop_at: Sequence[int], limit: int) -> int:
        """Runs until one of these functions is entered; returns its address.

        Args:
          stop_at: addresses of functions that do nothing; each is skipped when running goes on.
          limit: most instructions.

        Raises:
          EndlessFault: the limit.
          GuestFault: the firmware faulted.
        """

    @abc.abstractmethod
    def reset(self) -> None:
        """Resets core and peripherals."""

    @abc.abstractmethod
    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory."""

    @abc.abstractmethod
    def write(self, address: int, data: bytes) -> None:
        """Writes memory, as a debugger would."""

    def read_u32(self, address: int) -> int:
        """A little-endian word."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_u32(self, address: int, value: int) -> None:
        """Writes a little-endian word."""
        self.write(address, value.to_bytes(4, "little"))

    @abc.abstractmethod
    def set_marks(self, marks: Marks) -> None:
        """Measures from now on."""

    @abc.abstractmethod
    def begin_inference(self) -> None:
        """Zeroes what was measured."""

    @property
    @abc.abstractmethod
    def metered(self) -> int:
        """Instructions of this inference between meter_start and meter_stop, without theirs."""

    @abc.abstractmethod
    def operator(self, index: int) -> OperatorReading:
        """What one operator did in this inference."""

    @abc.abstractmethod
    def lowest_stack(self) -> int:
        """The lowest stack address that was written since the firmware painted its stack."""
