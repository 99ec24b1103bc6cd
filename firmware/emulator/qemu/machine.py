# SPDX-License-Identifier: Apache-2.0
"""A board in QEMU.

QEMU's machine has the board's memories (and more: an access outside the board's file need not
fault). Its console is not used: what the firmware sends and takes is what its console functions
are called with, so that any driver will do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from boards import Board
from firmware.elf import Elf
from firmware.emulator.faults import EndlessFault, GuestFault
from firmware.emulator.hosted import PortableLine
from firmware.emulator.interface import BoardMachine, Marks, OperatorReading
from firmware.emulator.qemu.counter import QemuCounter
from firmware.emulator.qemu.debugger import LR, PC, R0, R1, R2, SP, DebuggerError
from firmware.emulator.qemu.process import QemuProcess
from firmware.errors import FirmwareError

_LOOK_S = 1.0  # How often the limit is looked at.
_EXCEPTIONS = {3: "HardFault", 4: "MemManage", 5: "BusFault", 6: "UsageFault"}
_FRAME_PC = 24  # In the frame that an exception leaves on the stack.


class QemuMachine(BoardMachine):
    """One board running one ELF."""

    def __init__(self, board: Board, elf: Elf) -> None:
        """Starts QEMU; nothing runs yet.

        Raises:
          FirmwareError: QEMU has no such board, or is not installed.
        """
        if board.qemu is None:
            raise FirmwareError(
                f"board {board.name} has no key qemu; QEMU runs the boards of boards/qemu/"
            )
        self.board = board
        self.elf = elf
        self._machine = board.qemu
        self._line = PortableLine()
        self._marks: Marks | None = None
        self._fault_report = elf.address("fault_report")
        self._hooks: dict[int, Callable[[int], int]] = {
            elf.address("console_write_byte"): self._put,
            elf.address("console_try_read"): self._get,
        }
        self._limit = self._last = 0  # instructions of this run, and when it ends
        self._start()

    def _start(self) -> None:
        self._process = QemuProcess(self._machine, self.elf.path)
        self._debugger = self._process.debugger
        self._counter: QemuCounter | None = None
        self._stops: set[int] = set()
        self._inside: int | None = None  # The function whose entry the core stands at.
        if self.board.core.mpu_regions:
            self._debugger.use_physical_memory()
        for address in (self._fault_report, *self._hooks):
            self._debugger.set_breakpoint(address)
        if self._marks is not None:
            self.set_marks(self._marks)

    def reset(self) -> None:
        """Another QEMU: memory is as after power-on."""
        self._process.end()
        self._start()

    def close(self) -> None:
        """Ends QEMU."""
        self._process.end()

    @property
    def line(self) -> PortableLine:
        """The console."""
        return self._line

    def _put(self, byte: int) -> int:
        self._line.put(byte)
        return byte

    def _get(self, address: int) -> int:
        """console_try_read: a byte behind the pointer, and whether there was one."""
        if not self._line.received:
            return 0
        self._debugger.write(address, bytes((self._line.get(),)))
        return 1

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of memory."""
        return self._debugger.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> None:
        """Writes memory."""
        self._debugger.write(address, data)

    def run(self, stop_at: Sequence[int], limit: int) -> int:
        """As `BoardMachine.run`."""
        self._set_stops(set(stop_at))
        self._limit = limit
        self._last = self._process.instructions() + limit
        while True:
            pc = self._proceed()
            if pc in stop_at:
                return pc

    def _set_stops(self, wanted: set[int]) -> None:
        for address in wanted - self._stops:
            self._debugger.set_breakpoint(address)
        for address in self._stops - wanted:
            self._debugger.clear_breakpoint(address)
        self._stops = wanted

    def _skip(self, result: int | None = None) -> None:
        """Leaves the function that was about to begin."""
        registers = self._debugger.registers()
        if result is not None:
            self._debugger.set_register(R0, result)
        self._debugger.set_register(PC, registers[LR] & ~1)

    def _proceed(self) -> int:
        """Runs to the next breakpoint; does what belongs to it, unless the caller asked for it."""
        if self._inside is not None:
            self._skip()
            self._inside = None
        registers = self._go()
        pc = registers[PC]
        if pc in self._hooks:
            self._skip(self._hooks[pc](registers[R0]))
        elif self._counter is not None and pc in self._mark_addresses():
            self._counter.visit(pc, registers[R1], registers[R2], registers[SP])
            self._skip()
        elif pc == self._fault_report:
            self._raise_fault(registers[R0], registers[R1])
        else:
            self._inside = pc
            if pc not in self._stops:
                raise GuestFault(f"emulation stopped at {self.elf.describe(pc)}", pc=pc)
        return pc

    def _go(self) -> tuple[int, ...]:
        """Runs to the next breakpoint; the registers there."""
        try:
            self._debugger.go()
            while not self._debugger.stopped(_LOOK_S):
                if self._process.instructions() > self._last:
                    self._debugger.interrupt()
                    pc = self._debugger.registers()[PC]
                    where = f"pc {pc:#010x} in {self.elf.describe(pc)}"
                    told = f"{self.board.name}: more than {self._limit:,} instructions, {where}"
                    raise EndlessFault(told, pc=pc)
            return self._debugger.registers()
        except DebuggerError as error:
            reason = self._process.messages() or str(error)
            raise GuestFault(f"{self.board.name}: QEMU ended: {reason}") from error

    def _raise_fault(self, frame: int, exception: int) -> None:
        pc = self.read_u32(frame + _FRAME_PC)
        name = _EXCEPTIONS.get(exception, f"exception {exception}")
        where = f"pc {pc:#010x} in {self.elf.describe(pc)}"
        raise GuestFault(f"{self.board.name}: {name}, {where}", pc=pc)

    def _mark_addresses(self) -> tuple[int, ...]:
        assert self._marks is not None
        return self._marks.start, self._marks.stop, self._marks.operator

    def set_marks(self, marks: Marks) -> None:
        """Measures from now on."""
        self._marks = marks
        self._counter = QemuCounter(self._process, marks)
        for address in self._mark_addresses():
            self._debugger.set_breakpoint(address)

    def _measured(self) -> QemuCounter:
        if self._counter is None:
            raise RuntimeError("set_marks comes first")
        return self._counter

    def begin_inference(self) -> None:
        """Zeroes what was measured."""
        self._measured().reset()

    @property
    def metered(self) -> int:
        """Instructions of this inference."""
        return self._measured().metered

    def operator(self, index: int) -> OperatorReading:
        """What one operator did in this inference."""
        return self._measured().operator(index)

    def lowest_stack(self) -> int:
        """The lowest stack address that was written."""
        return self._measured().lowest_stack()
