# SPDX-License-Identifier: Apache-2.0
"""An emulated board as the other end of a serial line."""

from __future__ import annotations

from firmware.emulator.session import Session


class EmulatedSerial:
    """The board's serial port as a `firmware.connection.Transport`."""

    def __init__(self, emulator: Session) -> None:
        self._emulator = emulator

    def write(self, data: bytes) -> None:
        """Sends bytes and lets the firmware work until it waits again."""
        self._emulator.console_write(data)

    def read(self, timeout_s: float) -> bytes:
        """What the firmware sent; nothing more comes until the next write."""
        del timeout_s
        return self._emulator.console_read()
