# SPDX-License-Identifier: Apache-2.0
"""The client's half of GDB's remote serial protocol, as far as a board needs it.

Protocol: "Debugging with GDB", appendix E. Registers are numbered as QEMU's description of an
M-profile core numbers them: r0 to r12, sp, lr, pc, xpsr.
"""

from __future__ import annotations

import re
import socket

R0, R1, R2, SP, LR, PC = 0, 1, 2, 13, 14, 15
_REGISTERS = 16
# QEMU's packets have 4,096 bytes; two of them are one of memory.
_CHUNK_BYTES = 1984
_PACKET = re.compile(rb"\$([^#]*)#[0-9a-f]{2}", re.DOTALL)


class DebuggerError(RuntimeError):
    """The other side hung up, or refused a command."""


class Debugger:
    """A connection to a stopped core."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""
        # QEMU answers reads of single registers only after it was asked what the core has.
        self._ask(b"qXfer:features:read:target.xml:0,ff0")

    def _send(self, command: bytes) -> None:
        self._put(b"$%s#%02x" % (command, sum(command) & 0xFF))

    def _put(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise DebuggerError(f"the other side hung up ({error})") from error

    def _answer(self, timeout_s: float | None = None) -> bytes | None:
        """The next packet; None if none came in time."""
        self._socket.settimeout(timeout_s)
        while (found := _PACKET.search(self._received)) is None:
            try:
                received = self._socket.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError as error:
                raise DebuggerError(str(error)) from error
            if not received:
                raise DebuggerError("the connection ended")
            self._received += received
        self._received = self._received[found.end() :]
        self._put(b"+")
        return found[1]

    def _ask(self, command: bytes) -> bytes:
        self._send(command)
        answer = self._answer()
        assert answer is not None
        return answer

    def _command(self, command: bytes) -> None:
        answer = self._ask(command)
        if answer != b"OK":
            raise DebuggerError(f"{command[:24]!r}: got {answer!r}, expected OK")

    def use_physical_memory(self) -> None:
        """Reads and writes pass the MPU by, which keeps a debugger from the stack's guard (and, as
        QEMU does it, from the whole page that the guard is in)."""
        self._command(b"Qqemu.PhyMemMode:1")

    def set_breakpoint(self, address: int) -> None:
        """The core stops before it executes this address."""
        self._command(b"Z0,%x,2" % address)

    def clear_breakpoint(self, address: int) -> None:
        """It no longer does."""
        self._command(b"z0,%x,2" % address)

    def go(self) -> None:
        """The core runs; `stopped` says when it does not any more."""
        self._send(b"c")

    def stopped(self, timeout_s: float) -> bool:
        """Waits so long for the core to stop; whether it did."""
        return self._answer(timeout_s) is not None

    def interrupt(self) -> None:
        """Stops a core that runs."""
        self._put(b"\x03")
        self._answer()

    def registers(self) -> tuple[int, ...]:
        """r0 to r12, sp, lr, pc."""
        raw = bytes.fromhex(self._ask(b"g")[: 8 * _REGISTERS].decode())
        return tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4))

    def set_register(self, number: int, value: int) -> None:
        """Writes one register."""
        self._command(b"P%x=%s" % (number, value.to_bytes(4, "little").hex().encode()))

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory."""
        parts = []
        for start in range(0, size_bytes, _CHUNK_BYTES):
            size = min(_CHUNK_BYTES, size_bytes - start)
            answer = self._ask(b"m%x,%x" % (address + start, size))
            if len(answer) != 2 * size:
                raise DebuggerError(f"reading {size} bytes at {address + start:#010x}: {answer!r}")
            parts.append(bytes.fromhex(answer.decode()))
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Writes memory."""
        for start in range(0, len(data), _CHUNK_BYTES):
            chunk = data[start : start + _CHUNK_BYTES]
            self._command(b"M%x,%x:%s" % (address + start, len(chunk), chunk.hex().encode()))
