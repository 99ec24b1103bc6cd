# SPDX-License-Identifier: Apache-2.0
"""Faults of the emulated firmware, and what they say."""

from __future__ import annotations

from firmware.errors import FirmwareError


class GuestFault(FirmwareError):
    """The firmware did what the real board would fault on (or silently get wrong).

    Attributes:
      address: the data or instruction address concerned, or None.
      pc: program counter at the fault, or None when it is not known yet.
    """

    def __init__(self, message: str, address: int | None = None, pc: int | None = None) -> None:
        super().__init__(message)
        self.address = address
        self.pc = pc
