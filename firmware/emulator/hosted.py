# SPDX-License-Identifier: Apache-2.0
"""What stands in for a board's own hardware where the firmware has no driver for it.

A board given by its regions talks to a debugger (semihosting), or through functions that its user
writes (src/generic/board_hooks.h). The emulated board answers both; the user's functions, which
touch registers that the emulator does not have, do not run.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

# "Semihosting for AArch32 and AArch64": BKPT 0xAB.
BREAKPOINT = 0xBEAB
_NONE = 0xFFFF_FFFF


class Operation(enum.IntEnum):
    """Semihosting operations that the firmware uses."""

    WRITE_BYTE = 0x03
    READ_BYTE = 0x07


class PortableLine:
    """The console's two directions.

    Attributes:
      received: bytes that the firmware has not taken yet.
      sent: bytes that the firmware has sent.
    """

    def __init__(self) -> None:
        self.received: deque[int] = deque()
        self.sent = bytearray()

    def put(self, byte: int) -> None:
        """The firmware sends a byte."""
        self.sent.append(byte & 0xFF)

    def get(self) -> int:
        """The firmware asks for a byte: 0..255, or -1 as 32 bits."""
        return self.received.popleft() if self.received else _NONE


def semihosting(
    line: PortableLine, operation: int, argument: int, read: Callable[[int, int], bytes]
) -> int | None:
    """A semihosting call's result; None for an operation that this debugger does not have."""
    match operation:
        case Operation.WRITE_BYTE:
            line.put(read(argument, 1)[0])
            return operation
        case Operation.READ_BYTE:
            return line.get()
    return None


def _nothing(_line: PortableLine, _argument: int) -> int:
    return 0


def _put(line: PortableLine, argument: int) -> int:
    line.put(argument)
    return 0


def _get(line: PortableLine, _argument: int) -> int:
    return line.get()


# Functions of board_hooks.h: what each does here, from its first argument to its result.
# board_external_flash_map is not among them: its weak definition is right for memory that is mapped
# from the start, and one of the user's faults at the first register that it touches.
HOOKS: dict[str, Callable[[PortableLine, int], int]] = {
    "board_init": _nothing,
    "board_console_init": _nothing,
    "board_putc": _put,
    "board_getc": _get,
}
