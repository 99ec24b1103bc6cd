# SPDX-License-Identifier: Apache-2.0
"""`QemuEmulator`: a board in QEMU."""

from __future__ import annotations

from pathlib import Path

from boards import Board
from firmware.elf import Elf
from firmware.emulator.qemu.machine import QemuMachine
from firmware.emulator.session import DEFAULT_LIMIT, Session


class QemuEmulator(Session):
    """A booted board. QEMU ends with it, or with `close`."""

    def __init__(self, board: Board, elf: Path, *, limit: int = DEFAULT_LIMIT) -> None:
        """Boots.

        Args:
          board: one with the key `qemu`.
          elf: an executable made by `firmware.build` or by an exported project.
          limit: most instructions for one answer, against firmware that hangs.

        Raises:
          FirmwareError: QEMU is not installed, or does not have the board.
          GuestFault: the firmware faulted; the message names pc and function.
        """
        image = Elf(elf)
        self.machine = QemuMachine(board, image)
        super().__init__(board, image, self.machine, limit)

    def close(self) -> None:
        """Ends QEMU."""
        self.machine.close()
