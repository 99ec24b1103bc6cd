# SPDX-License-Identifier: Apache-2.0
"""A board's memory map and core in Unicorn: loads an ELF, resets, runs to chosen addresses."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MEM_FETCH_PROT,
    UC_MEM_FETCH_UNMAPPED,
    UC_MEM_READ_PROT,
    UC_MEM_READ_UNMAPPED,
    UC_MEM_WRITE_PROT,
    UC_MEM_WRITE_UNMAPPED,
    UC_MODE_THUMB,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
)
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M0,
    UC_CPU_ARM_CORTEX_M3,
    UC_CPU_ARM_CORTEX_M4,
    UC_CPU_ARM_CORTEX_M7,
    UC_CPU_ARM_CORTEX_M33,
)
from unicorn.unicorn_py3.unicorn import Uc, UcError

from boards import Board, Region, RegionKind
from firmware.elf import Elf, double_precision_instructions
from firmware.emulator.chip import Chip
from firmware.emulator.counter import Counter, CounterError
from firmware.emulator.faults import GuestFault
from firmware.emulator.hosted import BREAKPOINT, HOOKS, PortableLine, semihosting
from firmware.emulator.peripherals import RegisterBlock, SystemControl
from firmware.emulator.quadspi import N25Q128A, FlashDevice
from firmware.errors import FirmwareError

_PAGE = 0x1000
_CPU_MODELS = {
    "cortex-m7": UC_CPU_ARM_CORTEX_M7,
    "cortex-m4": UC_CPU_ARM_CORTEX_M4,
    "cortex-m3": UC_CPU_ARM_CORTEX_M3,
    "cortex-m33": UC_CPU_ARM_CORTEX_M33,
    "cortex-m0plus": UC_CPU_ARM_CORTEX_M0,  # The same instructions.
}
# Unicorn 2.1 computes wrong results on this core while accesses are watched (seen: the logits of a
# network that are right without).
_NO_MEMORY_HOOKS = frozenset(("cortex-m33",))
_PERMISSIONS = {
    RegionKind.FLASH: UC_PROT_READ | UC_PROT_EXEC,
    RegionKind.EXTERNAL_FLASH: UC_PROT_READ,
    RegionKind.RAM: UC_PROT_READ | UC_PROT_WRITE,
    RegionKind.TCM: UC_PROT_READ | UC_PROT_WRITE,
    RegionKind.ITCM: UC_PROT_READ | UC_PROT_WRITE | UC_PROT_EXEC,
}
_FAULTS = {
    UC_MEM_READ_UNMAPPED: "read from",
    UC_MEM_WRITE_UNMAPPED: "write to",
    UC_MEM_FETCH_UNMAPPED: "execution at",
    UC_MEM_READ_PROT: "read from protected",
    UC_MEM_WRITE_PROT: "write to read-only",
    UC_MEM_FETCH_PROT: "execution in non-executable",
}
_EXCEPTIONS = {
    1: "undefined instruction",
    2: "SVC",
    3: "prefetch abort",
    4: "data abort",
    7: "breakpoint",
    17: "coprocessor not available",
    18: "invalid state",
}
_ERASED = b"\xff"
_BREAKPOINT_EXCEPTION = 7


class Machine:
    """One emulated board running one ELF.

    The memory map is the board's and nothing more. Not modelled: time (every instruction is one
    cycle), caches, interrupts, the MPU; alignment faults only with `strict`, which is slower.
    """

    def __init__(
        self,
        board: Board,
        elf: Elf,
        external_device: FlashDevice = N25Q128A,
        *,
        strict: bool = False,
    ) -> None:
        if board.core.name not in _CPU_MODELS:
            raise FirmwareError(
                f"no emulation of {board.core.name}; expected one of {', '.join(_CPU_MODELS)}"
            )
        if strict and board.core.name in _NO_MEMORY_HOOKS:
            raise FirmwareError(f"strict alignment checks are not available on {board.core.name}")
        self.board = board
        self.elf = elf
        self._refuse_double_precision()
        # Without UC_MODE_MCLASS: with it Unicorn ignores the chosen CPU model.
        self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(_CPU_MODELS[board.core.name])
        self.counter = Counter(self._uc)
        if strict:
            self.counter.check_alignment()
        self._memory: list[tuple[Region, mmap.mmap, int]] = []
        self._fault: GuestFault | None = None
        self._semihosting = False  # The engine stopped for a semihosting call.
        self._hooks = {
            elf.address(name): hook
            for name, hook in HOOKS.items()
            if board.stm32 is None and elf.has_symbol(name)
        }
        self._external_device = external_device
        self._external_mapped = False
        for region in board.regions:
            self._add_region(region)
        self.chip = self._make_chip()
        self._map_peripherals()
        self._load()
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._on_invalid_memory)
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self._uc.ctl_exits_enabled(True)
        self.reset()

    def _refuse_double_precision(self) -> None:
        if self.board.core.double_precision:
            return
        found = double_precision_instructions(self.elf)
        if found:
            raise FirmwareError(
                f"{self.elf.path}: double-precision instruction at {found[0]:#010x} in "
                f"{self.elf.describe(found[0])} ({len(found)} in all); the FPU of "
                f"{self.board.name} is single precision, build with -mfpu={self.board.core.fpu}"
            )

    def _make_chip(self) -> Chip:
        return Chip(
            self.board,
            lambda: int(self.counter.head.total),
            self._external_device,
            self._map_external_flash,
        )

    def _map_external_flash(self) -> None:
        """The QSPI window exists from now on."""
        for region, _, host in self._memory:
            if region.kind is RegionKind.EXTERNAL_FLASH and not self._external_mapped:
                self._uc.mem_map_ptr(
                    region.base, region.size_bytes, _PERMISSIONS[region.kind], host
                )
                self._external_mapped = True

    def _unmap_external_flash(self) -> None:
        external = self.board.external_flash()
        if external is not None and self._external_mapped:
            self._uc.mem_unmap(external.base, external.size_bytes)
            self._external_mapped = False

    def _add_region(self, region: Region) -> None:
        memory = mmap.mmap(-1, region.size_bytes)
        if region.kind in (RegionKind.FLASH, RegionKind.EXTERNAL_FLASH):
            memory.write(_ERASED * region.size_bytes)
        host = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._memory.append((region, memory, host))
        if region.kind is RegionKind.EXTERNAL_FLASH and self.board.quad_spi is not None:
            return  # Mapped when the firmware has set up the QSPI controller.
        for base in (region.base, *region.aliases):
            self._uc.mem_map_ptr(base, region.size_bytes, _PERMISSIONS[region.kind], host)
            if _PERMISSIONS[region.kind] & UC_PROT_EXEC:
                self.counter.add_code(base, host, region.size_bytes)

    def _map_peripherals(self) -> None:
        pages = sorted({base & ~(_PAGE - 1) for base in self.chip.blocks})
        for page in pages:
            self._uc.mmio_map(page, _PAGE, self._read_register, page, self._write_register, page)
        base = SystemControl.BASE
        self._uc.mmio_map(
            base, SystemControl.SIZE, self._read_register, base, self._write_register, base
        )

    def _find_block(self, address: int) -> tuple[RegisterBlock, int]:
        if SystemControl.BASE <= address < SystemControl.BASE + SystemControl.SIZE:
            return self.chip.system_control, address - SystemControl.BASE
        for block in self.board.peripherals:
            if block.base <= address < block.base + block.size_bytes:
                return self.chip.blocks[block.base], address - block.base
        raise GuestFault(f"access to {address:#010x}, where {self.board.name} has no peripheral")

    def _read_register(self, _uc: Uc, offset: int, size: int, page: int) -> int:
        try:
            block, register = self._find_block(page + offset)
            return block.read(register, size)
        except GuestFault as fault:
            self._stop_with(fault, page + offset)
            return 0

    def _write_register(self, _uc: Uc, offset: int, size: int, value: int, page: int) -> None:
        try:
            block, register = self._find_block(page + offset)
            block.write(register, size, value)
        except GuestFault as fault:
            self._stop_with(fault, page + offset)

    def _stop_with(self, fault: GuestFault, address: int | None) -> None:
        if self._fault is None:
            fault.address = address
            self._fault = fault
        self._uc.emu_stop()

    def _on_invalid_memory(
        self, _uc: Uc, access: int, address: int, size: int, _value: int, _data: object
    ) -> bool:
        # For a fetch Unicorn reports no useful size.
        width = "" if access in (UC_MEM_FETCH_UNMAPPED, UC_MEM_FETCH_PROT) else f" of {size} bytes"
        self._stop_with(GuestFault(f"{_FAULTS[access]} {address:#010x}{width}"), address)
        return False

    def _on_exception(self, _uc: Uc, number: int, _data: object) -> None:
        if number == _BREAKPOINT_EXCEPTION and isinstance(self.chip.console, PortableLine):
            pc = int(self._uc.reg_read(UC_ARM_REG_PC))
            if int.from_bytes(self.read(pc, 2), "little") == BREAKPOINT:
                self._semihosting = True
                self._uc.emu_stop()
                return
        self._stop_with(GuestFault(_EXCEPTIONS.get(number, f"exception {number}")), None)

    def _load(self) -> None:
        for segment in self.elf.segments:
            region, memory, _ = self._locate(segment.address, len(segment.data))
            if region.kind not in (RegionKind.FLASH, RegionKind.EXTERNAL_FLASH):
                raise FirmwareError(
                    f"{self.elf.path}: a segment is loaded at {segment.address:#010x} "
                    f"({region.name}); only flash keeps its content"
                )
            start = segment.address - region.base
            memory[start : start + len(segment.data)] = segment.data

    def _locate(self, address: int, size: int) -> tuple[Region, mmap.mmap, int]:
        for region, memory, host in self._memory:
            if address in region and address + size <= region.end:
                return region, memory, host
        raise FirmwareError(
            f"{self.elf.path}: {size} bytes at {address:#010x} lie outside the memory of "
            f"{self.board.name}"
        )

    def reset(self) -> None:
        """Resets the peripherals; takes stack pointer and program counter from the vectors."""
        self._unmap_external_flash()
        self.chip = self._make_chip()
        table = self.board.region(self.board.code_region).base
        stack, entry = struct.unpack("<II", self.read(table, 8))
        self._uc.reg_write(UC_ARM_REG_SP, stack)
        self._uc.reg_write(UC_ARM_REG_PC, entry)
        self._pc = entry

    def read(self, address: int, size: int) -> bytes:
        """Bytes of guest memory."""
        region, memory, _ = self._locate(address, size)
        return memory[address - region.base : address - region.base + size]

    def write(self, address: int, data: bytes) -> None:
        """Writes guest memory (as a debugger would)."""
        region, memory, _ = self._locate(address, len(data))
        memory[address - region.base : address - region.base + len(data)] = data

    def read_u32(self, address: int) -> int:
        """A little-endian word."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_u32(self, address: int, value: int) -> None:
        """Writes a little-endian word."""
        self.write(address, value.to_bytes(4, "little"))

    def watch_reads(self, base: int, size_bytes: int) -> NDArray[np.uint32]:
        """As `Counter.watch_reads`; FirmwareError on a core where it falsifies results."""
        if self.board.core.name in _NO_MEMORY_HOOKS:
            raise FirmwareError(f"accesses can not be watched on {self.board.core.name}")
        return self.counter.watch_reads(base, size_bytes)

    def host_address(self, address: int) -> int:
        """Host address of a guest RAM byte."""
        region, _, host = self._locate(address, 1)
        return host + address - region.base

    def run(self, stop_at: Sequence[int], limit: int) -> int:
        """Runs until the program counter reaches one of `stop_at`; returns that address.

        Args:
          stop_at: addresses of functions. A function stopped at is skipped when running goes on:
            it continues at its return address. They must be functions that do nothing.
          limit: instructions after which GuestFault is raised.

        Raises:
          GuestFault: an access outside the memory map, an exception, or the limit.
        """
        self._fault = None
        head = self.counter.head
        head.error = CounterError.NONE
        head.limit = head.total + limit
        self._uc.ctl_set_exits([*stop_at, *self._hooks])
        while True:
            pc = self._continue()
            if self._semihosting:
                self._answer_debugger(pc)
                continue
            if pc not in stop_at and pc not in self._hooks:
                raise GuestFault(f"emulation stopped at {self.elf.describe(pc)}", pc=pc)
            self._pc = self._uc.reg_read(UC_ARM_REG_LR) & ~1
            if pc in stop_at:
                return pc
            self._stand_in(pc)

    def _continue(self) -> int:
        """Runs from `_pc` to the next stop, and returns where that is."""
        self._semihosting = False
        try:
            self._uc.emu_start(self._pc | 1, 0)
        except UcError as error:
            if self._fault is None and not self._semihosting:
                self._fault = GuestFault(str(error))
        pc = int(self._uc.reg_read(UC_ARM_REG_PC))
        self._raise_fault(pc)
        return pc

    def _line(self) -> PortableLine:
        assert isinstance(self.chip.console, PortableLine)
        return self.chip.console

    def _answer_debugger(self, pc: int) -> None:
        """Does what the debugger does at BKPT 0xAB, and goes on behind it."""
        operation, argument = (self._uc.reg_read(r) for r in (UC_ARM_REG_R0, UC_ARM_REG_R1))
        result = semihosting(self._line(), operation, argument, self.read)
        if result is None:
            self._fault = GuestFault(f"semihosting operation {operation:#x} is not known here")
            self._raise_fault(pc)
        self._uc.reg_write(UC_ARM_REG_R0, result)
        self._pc = pc + 2

    def _stand_in(self, function: int) -> None:
        """Does what a function of the user's would do; it is skipped."""
        argument = int(self._uc.reg_read(UC_ARM_REG_R0))
        self._uc.reg_write(UC_ARM_REG_R0, self._hooks[function](self._line(), argument))

    def _raise_fault(self, pc: int) -> None:
        head = self.counter.head
        if self._fault is None and head.error == CounterError.LIMIT:
            self._fault = GuestFault(f"more than {head.limit} instructions")
        if self._fault is None and head.error == CounterError.ALIGNMENT:
            address = int(head.error_address)
            self._fault = GuestFault(f"unaligned access to {address:#010x}", address)
        if self._fault is None and head.error != CounterError.NONE:
            reason = CounterError(head.error).name.lower()
            self._fault = GuestFault(f"instruction counter: {reason}", head.error_address)
        if self._fault is None:
            return
        place = f"{self._fault}, pc {pc:#010x} in {self.elf.describe(pc)}"
        raise GuestFault(f"{self.board.name}: {place}", self._fault.address, pc)
