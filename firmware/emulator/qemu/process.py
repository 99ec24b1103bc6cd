# SPDX-License-Identifier: Apache-2.0
"""A QEMU of its own for each board, stopped before its first instruction."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from firmware.emulator.qemu.debugger import Debugger
from firmware.errors import FirmwareError

PROGRAM = "qemu-system-arm"
_START_S = 60.0


def qemu_program() -> str:
    """Path of QEMU.

    Raises:
      FirmwareError: it is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise FirmwareError(
            f"{PROGRAM} is not on the PATH; install it (Debian and Ubuntu: package {PROGRAM})"
        )
    return found


def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    folder.cleanup()


class QemuProcess:
    """QEMU with one machine and one ELF.

    Attributes:
      debugger: of its core, which has not started.
    """

    def __init__(self, machine: str, elf: Path, options: Sequence[str] = ()) -> None:
        """Starts it.

        Args:
          machine: QEMU's name, e.g. `mps2-an386`.
          elf: loaded at its segments' load addresses.
          options: more of QEMU's command line.

        Raises:
          FirmwareError: there is no QEMU, or it did not start.
        """
        folder = tempfile.TemporaryDirectory(prefix="vit-qemu-")
        root = Path(folder.name)
        self._messages = root / "messages"
        command = [
            *(qemu_program(), "-M", machine, "-kernel", str(elf)),
            *("-display", "none", "-monitor", "none", "-serial", "none", "-nic", "none", "-S"),
            # One instruction is a nanosecond of the machine's time; the record, which nobody
            # reads, makes QEMU say how many there were.
            *("-icount", "shift=0,rr=record,rrfile=/dev/null"),
            *("-chardev", f"socket,id=gdb,path={root}/gdb,server=on,wait=off"),
            *("-gdb", "chardev:gdb", "-qmp", f"unix:{root}/qmp,server=on,wait=off", *options),
        ]
        with self._messages.open("wb") as messages:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages
            )
        self.end = weakref.finalize(self, _end, self._process, folder)
        self.debugger = Debugger(self._connect(root / "gdb"))
        self._control: IO[str] = self._connect(root / "qmp").makefile("rw", encoding="utf-8")
        self._control.readline()  # The greeting.
        self._ask("qmp_capabilities")

    def _connect(self, path: Path) -> socket.socket:
        deadline = time.monotonic() + _START_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
                return connection
            except OSError:
                connection.close()
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise FirmwareError(f"QEMU did not start: {self.messages() or 'no message'}")
            time.sleep(0.01)

    def messages(self) -> str:
        """What QEMU wrote, in one line."""
        text = self._messages.read_text(encoding="utf-8", errors="replace")
        return "; ".join(text.strip().splitlines())

    def _ask(self, command: str) -> dict[str, Any]:
        self._control.write(json.dumps({"execute": command}) + "\n")
        self._control.flush()
        while line := self._control.readline():
            answer: dict[str, Any] = json.loads(line)
            if "error" in answer:
                raise FirmwareError(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return dict(answer["return"])
        raise FirmwareError(f"QEMU ended: {self.messages() or 'no message'}")

    def instructions(self) -> int:
        """Executed since it started."""
        return int(self._ask("query-replay")["icount"])
