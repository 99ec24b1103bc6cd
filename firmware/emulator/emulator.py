# SPDX-License-Identifier: Apache-2.0
"""`Emulator`: a board in Unicorn, where accesses, functions and the memory plan are watched too."""

from __future__ import annotations

import ctypes
import dataclasses
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boards import Board
from boards.core import LineReplacement
from firmware.elf import Elf
from firmware.emulator.counts import FunctionCount, PlanViolation
from firmware.emulator.data_cache import DataCache
from firmware.emulator.machine import Machine
from firmware.emulator.quadspi import N25Q128A, FlashDevice
from firmware.emulator.session import DEFAULT_LIMIT, Session
from firmware.errors import FirmwareError

# VitDebugViolation, converter/compile/runtime/vit_model_debug.h.
_VIOLATIONS = ("", "wrote a byte that the plan says is dead", "changed a buffer still needed")


class Emulator(Session):
    """A booted board.

    Attributes:
      machine: the board in Unicorn.
    """

    def __init__(
        self,
        board: Board,
        elf: Path,
        *,
        limit: int = DEFAULT_LIMIT,
        external_device: FlashDevice = N25Q128A,
        strict: bool = False,
    ) -> None:
        """Boots.

        Args:
          board: the board; its memory map is exact.
          elf: an executable made by `firmware.build` or by an exported project.
          limit: most instructions for one answer, against firmware that hangs.
          external_device: the flash part behind the QSPI controller.
          strict: also fault on unaligned LDM, LDRD and the like; far slower.

        Raises:
          FirmwareError: the ELF does not belong to this board.
          GuestFault: the firmware faulted; the message names address, pc and function.
        """
        image = Elf(elf)
        self.machine = Machine(board, image, external_device, strict=strict)
        super().__init__(board, image, self.machine, limit)

    # The memory plan, in firmware built with debug=True.

    def set_poison(self, value: int) -> None:
        """What dead bytes are filled with from now on, 0..255; clears the report.

        Raises:
          FirmwareError: the firmware was not built with debug=True.
        """
        self.machine.write(self.elf.address("vit_model_debug_poison"), bytes((value,)))
        self.machine.write(self.elf.address("vit_model_debug_report"), bytes(12))

    def plan_violation(self) -> PlanViolation | None:
        """The first time since `set_poison` that an operator broke the memory plan, if any."""
        report = self.machine.read(self.elf.address("vit_model_debug_report"), 12)
        violation, operator, offset = struct.unpack("<iiI", report)
        if violation == 0:
            return None
        return PlanViolation(_VIOLATIONS[violation], self.operator_names[operator], offset)

    # Measurements.

    def watch_weights(self) -> NDArray[np.uint32]:
        """Counts from now on how often the model reads each byte of its constants.

        Returns:
          uint32[bytes of vit_model_weights]; it grows with every image. The emulation is slower
          from now on. Call it once.

        Raises:
          FirmwareError: no watching of accesses on this core.
        """
        name = "vit_model_weights"
        return self.machine.watch_reads(self.elf.address(name), self.elf.symbol_bytes(name))

    def watch_cache(self, replacement: LineReplacement | None = None) -> DataCache:
        """A model of the board's data cache, which sees every access from now on.

        Args:
          replacement: instead of the board's.

        Raises:
          FirmwareError: the core has no data cache, or no watching of accesses.
        """
        shape = self.board.core.data_cache
        if shape is None:
            raise FirmwareError(f"{self.board.name} has no data cache")
        shape = dataclasses.replace(shape, replacement=replacement or shape.replacement)
        cache = DataCache(shape, self.board.regions, len(self.operator_names))
        self.machine.watch_cache(cache)
        return cache

    def profile(self) -> tuple[FunctionCount, ...]:
        """Instructions per function in all inferences so far, largest first."""
        totals: dict[str, int] = {}
        for block in self.machine.counter.profile():
            name = self.elf.describe(block.address).split("+")[0]
            totals[name] = totals.get(name, 0) + block.instructions * block.executions
        counts = [FunctionCount(name, count) for name, count in totals.items()]
        return tuple(sorted(counts, key=lambda entry: -entry.instructions))


assert ctypes.sizeof(ctypes.c_void_p) == 8, "the emulator needs a 64-bit host"
