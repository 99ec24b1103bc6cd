# SPDX-License-Identifier: Apache-2.0
"""The emulator of a board: Unicorn where it knows the core, else QEMU; or the one asked for."""

from __future__ import annotations

from pathlib import Path

from boards import Board
from firmware.emulator.emulator import Emulator
from firmware.emulator.qemu.emulator import QemuEmulator
from firmware.emulator.session import DEFAULT_LIMIT, Session
from firmware.errors import FirmwareError

AUTO, UNICORN, QEMU = ENGINES = ("auto", "unicorn", "qemu")


def open_emulator(
    board: Board,
    elf: Path,
    *,
    engine: str = AUTO,
    limit: int = DEFAULT_LIMIT,
    strict: bool = False,
) -> Session:
    """A booted board.

    Args:
      board: the board.
      elf: its executable.
      engine: one of `ENGINES`; `auto` is Unicorn, and QEMU for cores with Helium, which Unicorn
        does not have.
      limit: most instructions for one answer.
      strict: fault on unaligned accesses; Unicorn only.

    Raises:
      FirmwareError: the ELF does not belong to the board, or the emulator does not have it.
      GuestFault: the firmware faulted.
    """
    if engine == QEMU or (engine == AUTO and board.core.mve):
        if strict:
            raise FirmwareError("strict alignment checks are Unicorn's; use --engine=unicorn")
        return QemuEmulator(board, elf, limit=limit)
    return Emulator(board, elf, limit=limit, strict=strict)
