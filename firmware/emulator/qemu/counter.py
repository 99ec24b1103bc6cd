# SPDX-License-Identifier: Apache-2.0
"""Counts instructions and stack between the firmware's marks, at which the core stands still."""

from __future__ import annotations

import dataclasses

import numpy as np

from firmware.emulator.interface import STACK_PAINT, Marks, OperatorReading
from firmware.emulator.qemu.process import QemuProcess

# The lowest bytes of the stack are the MPU's guard, which a debugger can not read either.
_GUARD_BYTES = 32


@dataclasses.dataclass
class _Count:
    """What one operator did so far."""

    instructions: int = 0
    calls: int = 0
    stack_bytes: int = 0


class QemuCounter:
    """The measurements of one machine."""

    def __init__(self, process: QemuProcess, marks: Marks) -> None:
        self.marks = marks
        self.metered = 0
        self._process = process
        self._lowest = marks.stack_top
        self._counts: list[_Count] = []
        self._last = self._operator_start = 0
        self._operator_stack = marks.stack_top
        self.reset()

    def reset(self) -> None:
        """Zeroes the counts of the current inference."""
        self.metered = 0
        self._counts = [_Count() for _ in range(self.marks.operators)]

    def operator(self, index: int) -> OperatorReading:
        """What one operator did."""
        return OperatorReading(*dataclasses.astuple(self._counts[index]))

    def visit(self, address: int, index: int, end: int, stack_pointer: int) -> None:
        """The core is about to enter the mark at this address, with these arguments."""
        now = self._process.instructions()
        if address != self.marks.start:
            self.metered += now - self._last
        self._last = now
        if address != self.marks.operator:
            return
        if not end:
            self._operator_start, self._operator_stack = now, stack_pointer
            self._repaint(stack_pointer)
            return
        count = self._counts[index]
        count.instructions += now - self._operator_start
        count.calls += 1
        used = self._operator_stack - self.lowest_painted()
        count.stack_bytes = max(count.stack_bytes, used)
        self.lowest_stack()

    def _repaint(self, stack_pointer: int) -> None:
        """Paints what lies below the stack pointer, so that the next reading is one operator's."""
        self.lowest_stack()
        bottom = self.marks.stack_bottom + _GUARD_BYTES
        words = (stack_pointer - bottom) // 4
        self._process.debugger.write(bottom, STACK_PAINT.to_bytes(4, "little") * words)

    def lowest_painted(self) -> int:
        """The lowest address that has lost its paint, now."""
        bottom = self.marks.stack_bottom + _GUARD_BYTES
        raw = self._process.debugger.read(bottom, self.marks.stack_top - bottom)
        written = np.flatnonzero(np.frombuffer(raw, np.uint32) != STACK_PAINT)
        return bottom + 4 * int(written[0]) if len(written) else self.marks.stack_top

    def lowest_stack(self) -> int:
        """The lowest address ever seen written."""
        self._lowest = min(self._lowest, self.lowest_painted())
        return self._lowest
