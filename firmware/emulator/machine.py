# SPDX-License-Identifier: Apache-2.0
"""A board on an emulated core: its memory map and registers, reset, runs to chosen addresses."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from boards import Board, Region, RegionKind
from firmware.elf import Elf, double_precision_instructions
from firmware.emulator.chip import Chip
from firmware.emulator.core import CortexM
from firmware.emulator.faults import GuestFault
from firmware.emulator.hosted import BREAKPOINT, HOOKS, PortableLine, semihosting
from firmware.emulator.interface import STACK_PAINT, BoardMachine, Line, Marks, OperatorReading
from firmware.emulator.memory import Access, Memory
from firmware.emulator.peripherals import RegisterBlock, SystemControl
from firmware.emulator.quadspi import N25Q128A, FlashDevice
from firmware.errors import FirmwareError

_PAGE = 0x1000
_ACCESS = {
    RegionKind.FLASH: Access.READ | Access.EXECUTE,
    RegionKind.EXTERNAL_FLASH: Access.READ,
    RegionKind.RAM: Access.READ | Access.WRITE,
    RegionKind.TCM: Access.READ | Access.WRITE,
    RegionKind.ITCM: Access.READ | Access.WRITE | Access.EXECUTE,
}
_FLASHES = (RegionKind.FLASH, RegionKind.EXTERNAL_FLASH)
_BREAKPOINT_EXCEPTION = 7


def _memory(board: Board, region: Region) -> Memory:
    flash = region.kind in _FLASHES
    external = region.kind is RegionKind.EXTERNAL_FLASH
    return Memory(
        region.name,
        region.base,
        region.size_bytes,
        _ACCESS[region.kind],
        erased=flash,
        loadable=flash,
        aliases=region.aliases,
        # A QSPI flash is there when the firmware has set up its controller.
        mapped=not external or board.quad_spi is None,
    )


def _refuse_double_precision(board: Board, elf: Elf) -> None:
    if board.core.double_precision:
        return
    if found := double_precision_instructions(elf):
        raise FirmwareError(
            f"{elf.path}: double-precision instruction at {found[0]:#010x} in "
            f"{elf.describe(found[0])} ({len(found)} in all); the FPU of "
            f"{board.name} is single precision, build with -mfpu={board.core.fpu}"
        )


class Machine(CortexM, BoardMachine):
    """One emulated board running one ELF; its memory map is the board's and nothing more."""

    def __init__(
        self,
        board: Board,
        elf: Elf,
        external_device: FlashDevice = N25Q128A,
        *,
        strict: bool = False,
    ) -> None:
        _refuse_double_precision(board, elf)
        memories = [_memory(board, region) for region in board.regions]
        super().__init__(board.core.name, elf, memories, name=board.name, strict=strict)
        self.board = board
        self._semihosting = False  # The core stopped for a semihosting call.
        self._hooks = {
            elf.address(name): hook
            for name, hook in HOOKS.items()
            if board.stm32 is None and elf.has_symbol(name)
        }
        self._external_device = external_device
        self._late = [memory for memory in memories if not memory.mapped]
        self._late_mapped = False
        self.chip = self._make_chip()
        self._map_peripherals()
        self.reset()

    def _make_chip(self) -> Chip:
        return Chip(
            self.board,
            lambda: int(self.counter.head.total),
            self._external_device,
            self._map_external_flash,
        )

    def _map_external_flash(self) -> None:
        """The QSPI window exists from now on."""
        if not self._late_mapped:
            for memory in self._late:
                self.map(memory)
            self._late_mapped = True

    def _unmap_external_flash(self) -> None:
        if self._late_mapped:
            for memory in self._late:
                self.unmap(memory)
            self._late_mapped = False

    def _map_peripherals(self) -> None:
        for page in sorted({base & ~(_PAGE - 1) for base in self.chip.blocks}):
            self.map_registers(page, _PAGE, self._read_register, self._write_register)
        base, size = SystemControl.BASE, SystemControl.SIZE
        self.map_registers(base, size, self._read_register, self._write_register)

    def _find_block(self, address: int) -> tuple[RegisterBlock, int]:
        if SystemControl.BASE <= address < SystemControl.BASE + SystemControl.SIZE:
            return self.chip.system_control, address - SystemControl.BASE
        for block in self.board.peripherals:
            if block.base <= address < block.base + block.size_bytes:
                return self.chip.blocks[block.base], address - block.base
        raise GuestFault(f"access to {address:#010x}, where {self.board.name} has no peripheral")

    def _read_register(self, address: int, size: int) -> int:
        block, register = self._find_block(address)
        return block.read(register, size)

    def _write_register(self, address: int, size: int, value: int) -> None:
        block, register = self._find_block(address)
        block.write(register, size, value)

    def _handles(self, exception: int) -> bool:
        """A breakpoint with semihosting's number is a call of the debugger."""
        if exception != _BREAKPOINT_EXCEPTION or not isinstance(self.chip.console, PortableLine):
            return False
        if int.from_bytes(self.read(self.pc, 2), "little") != BREAKPOINT:
            return False
        self._semihosting = True
        self.stop()
        return True

    def _expects_stop(self) -> bool:
        return self._semihosting

    @property
    def line(self) -> Line:
        """The console."""
        return self.chip.console

    def set_marks(self, marks: Marks) -> None:
        """Measures from now on."""
        self.counter.set_operators(marks.operators)
        self.counter.set_marks(marks.start, marks.stop, marks.operator)
        bottom = marks.stack_bottom
        self.counter.set_stack(bottom, marks.stack_top, STACK_PAINT, self.host_address(bottom))

    def begin_inference(self) -> None:
        """Zeroes what was measured."""
        self.counter.reset()

    @property
    def metered(self) -> int:
        """Instructions of this inference."""
        return int(self.counter.head.metered)

    def operator(self, index: int) -> OperatorReading:
        """What one operator did in this inference."""
        return self.counter.operator(index)

    def lowest_stack(self) -> int:
        """The lowest stack address that was written."""
        self.counter.update_stack()
        return int(self.counter.head.lowest_stack)

    def reset(self) -> None:
        """Resets the peripherals; takes stack pointer and program counter from the vectors."""
        self._unmap_external_flash()
        self.chip = self._make_chip()
        table = self.board.region(self.board.code_region).base
        stack, self._next = struct.unpack("<II", self.read(table, 8))
        self.set_stack_pointer(stack)

    def run(self, stop_at: Sequence[int], limit: int) -> int:
        """Runs until the program counter reaches one of `stop_at`; returns that address.

        Args:
          stop_at: addresses of functions. A function stopped at is skipped when running goes on:
            it continues at its return address. They must be functions that do nothing.
          limit: instructions after which GuestFault is raised.

        Raises:
          GuestFault: an access outside the memory map, an exception, or the limit.
        """
        self.start((*stop_at, *self._hooks), limit)
        while True:
            self._semihosting = False
            pc = self.proceed(self._next)
            if self._semihosting:
                self._answer_debugger(pc)
                continue
            if pc not in stop_at and pc not in self._hooks:
                raise GuestFault(f"emulation stopped at {self.elf.describe(pc)}", pc=pc)
            self._next = self.return_address
            if pc in stop_at:
                return pc
            # A function of the user's: what it would do is done here, and it is skipped.
            self.r0 = self._hooks[pc](self._line(), self.r0)

    def _line(self) -> PortableLine:
        assert isinstance(self.chip.console, PortableLine)
        return self.chip.console

    def _answer_debugger(self, pc: int) -> None:
        """Does what the debugger does at BKPT 0xAB, and goes on behind it."""
        operation = self.r0
        result = semihosting(self._line(), operation, self.r1, self.read)
        if result is None:
            self.fail(f"semihosting operation {operation:#x} is not known here")
        else:
            self.r0 = result
            self._next = pc + 2
