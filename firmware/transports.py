# SPDX-License-Identifier: Apache-2.0
"""Lines to a board: a serial port, and one that damages what passes, for tests."""

from __future__ import annotations

import numpy as np
import serial

from firmware.connection import Transport
from firmware.errors import FirmwareError

_WRITE_S = 60.0  # a device that takes nothing for so long is none of ours


class SerialTransport:
    """A serial port (pyserial).

    Args:
      port: e.g. /dev/ttyACM0 or COM3, or a URL of pyserial's, e.g. socket://localhost:2323.
      baud: bits per second.

    Raises:
      FirmwareError: the port can not be opened.
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            self._serial = serial.serial_for_url(port, baudrate=baud, write_timeout=_WRITE_S)
        except (OSError, ValueError) as error:
            raise FirmwareError(f"cannot open serial port {port}: {error}") from None

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise FirmwareError(f"serial port {self._serial.port}: {error}") from None

    def close(self) -> None:
        """Gives the port back."""
        self._serial.close()

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, or the first byte within `timeout_s`."""
        try:
            self._serial.timeout = timeout_s
            return bytes(self._serial.read(max(1, self._serial.in_waiting)))
        except OSError as error:
            raise FirmwareError(f"serial port {self._serial.port}: {error}") from None


class NoisyTransport:
    """Drops, flips and inserts bytes in both directions, repeatably.

    Args:
      inner: the line underneath.
      seed: of the damage.
      rate: probability that a byte is damaged.

    Attributes:
      damaged: bytes damaged so far.
    """

    def __init__(self, inner: Transport, seed: int, rate: float) -> None:
        self._inner = inner
        self._random = np.random.default_rng(seed)
        self._rate = rate
        self.damaged = 0

    def _damage(self, data: bytes) -> bytes:
        if not data:
            return data
        hits = np.flatnonzero(self._random.random(len(data)) < self._rate)
        self.damaged += len(hits)
        parts = []
        start = 0
        for hit in hits.tolist():
            parts.append(data[start:hit])
            match int(self._random.integers(3)):
                case 0:  # Flipped; otherwise dropped, or followed by noise.
                    parts.append(bytes((data[hit] ^ 1 << int(self._random.integers(8)),)))
                case 1:
                    parts.append(bytes((data[hit], int(self._random.integers(256)))))
            start = hit + 1
        parts.append(data[start:])
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Sends damaged bytes."""
        self._inner.write(self._damage(data))

    def read(self, timeout_s: float) -> bytes:
        """Receives damaged bytes."""
        return self._damage(self._inner.read(timeout_s))
