# SPDX-License-Identifier: Apache-2.0
"""One Cortex-M in Unicorn: memories, exact instruction counts, faults that say where, calls.

Boards are built on top of it (`firmware.emulator.machine`), and so are single kernels that are
called by themselves (`benchmarks.kernels.emulator`). It has the memories that it is given and
nothing more. Not modelled: time (every instruction is one cycle), interrupts, the MPU. A data cache
is with `watch_cache`, alignment faults are with `strict`, which is slower.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MODE_THUMB,
)
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_R4,
    UC_ARM_REG_R11,
    UC_ARM_REG_SP,
    UC_CPU_ARM_CORTEX_M0,
    UC_CPU_ARM_CORTEX_M3,
    UC_CPU_ARM_CORTEX_M4,
    UC_CPU_ARM_CORTEX_M7,
    UC_CPU_ARM_CORTEX_M33,
)
from unicorn.unicorn_py3.unicorn import Uc, UcError

from firmware.elf import Elf
from firmware.emulator.counter import Counter
from firmware.emulator.data_cache import DataCache
from firmware.emulator.faults import GuestFault, exception_name, invalid_access
from firmware.emulator.memory import Access, Memories, Memory
from firmware.errors import FirmwareError

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
_ARGUMENT_REGISTERS = (UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_R2, UC_ARM_REG_R3)
_KEPT_REGISTERS = range(UC_ARM_REG_R4, UC_ARM_REG_R11 + 1)  # by a function
_WORD = 0xFFFF_FFFF


def stack_argument_bytes(arguments: Sequence[int]) -> int:
    """Bytes of stack that a call's arguments take: those behind the fourth, 8-byte aligned."""
    return (4 * max(0, len(arguments) - len(_ARGUMENT_REGISTERS)) + 7) & ~7


class CortexM:
    """A core with memories and one ELF loaded into them.

    Attributes:
      name: what faults begin with, e.g. the board's name.
      elf: the executable.
      counter: of the instructions.
    """

    def __init__(
        self, core: str, elf: Elf, memories: Iterable[Memory], *, name: str, strict: bool = False
    ) -> None:
        """Loads the ELF; nothing runs yet.

        Args:
          core: as the compiler's -mcpu= calls it, e.g. `cortex-m7`.
          strict: also fault on unaligned LDM, LDRD and the like; far slower.

        Raises:
          FirmwareError: a core that is not emulated, or a segment outside the memories.
        """
        if core not in _CPU_MODELS:
            raise FirmwareError(f"no emulation of {core}; expected one of {', '.join(_CPU_MODELS)}")
        if strict and core in _NO_MEMORY_HOOKS:
            raise FirmwareError(f"strict alignment checks are not available on {core}")
        self.core = core
        self.name = name
        self.elf = elf
        # Without UC_MODE_MCLASS: with it Unicorn ignores the chosen CPU model.
        self._uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(_CPU_MODELS[core])
        self.counter = Counter(self._uc)
        if strict:
            self.counter.check_alignment()
        self._fault: GuestFault | None = None
        self._memories = Memories(memories, name)
        for memory in self._memories:
            if Access.EXECUTE in memory.access:
                for base in memory.bases:
                    self.counter.add_code(base, self.host_address(memory.base), memory.size_bytes)
            if memory.mapped:
                self.map(memory)
        self._memories.load(elf)
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._on_invalid_memory)
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self._uc.ctl_exits_enabled(True)

    # ---- memory --------------------------------------------------------------------------------

    def map(self, memory: Memory) -> None:
        """From now on code sees this memory, one of those that the core was made with."""
        host = self.host_address(memory.base)
        for base in memory.bases:
            self._uc.mem_map_ptr(base, memory.size_bytes, int(memory.access), host)

    def unmap(self, memory: Memory) -> None:
        """From now on an access faults; the bytes are kept."""
        for base in memory.bases:
            self._uc.mem_unmap(base, memory.size_bytes)

    def map_registers(
        self, base: int, size_bytes: int,
        read: Callable[[int, int], int], write: Callable[[int, int, int], None],
    ) -> None:  # fmt: skip
        """Registers instead of memory.

        Args:
          base, size_bytes: multiples of 4,096.
          read: of address and size in bytes, gives the value. GuestFault stops the core.
          write: of address, size and value; the same.
        """

        def reading(_uc: Uc, offset: int, size: int, _data: object) -> int:
            try:
                return read(base + offset, size)
            except GuestFault as fault:
                self._stop_with(fault, base + offset)
                return 0

        def writing(_uc: Uc, offset: int, size: int, value: int, _data: object) -> None:
            try:
                write(base + offset, size, value)
            except GuestFault as fault:
                self._stop_with(fault, base + offset)

        self._uc.mmio_map(base, size_bytes, reading, None, writing, None)

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes of guest memory."""
        return self._memories.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> None:
        """Writes guest memory (as a debugger would)."""
        self._memories.write(address, data)

    def read_u32(self, address: int) -> int:
        """A little-endian word."""
        return int.from_bytes(self.read(address, 4), "little")

    def write_u32(self, address: int, value: int) -> None:
        """Writes a little-endian word."""
        self.write(address, value.to_bytes(4, "little"))

    def view(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        """Guest memory itself, uint8 [size_bytes]: what is written into it is in the memory."""
        return self._memories.view(address, size_bytes)

    def host_address(self, address: int) -> int:
        """Host address of a byte of guest memory."""
        return self._memories.host_address(address)

    def watch_reads(self, base: int, size_bytes: int) -> NDArray[np.uint32]:
        """As `Counter.watch_reads`; FirmwareError on a core where it falsifies results."""
        if self.core in _NO_MEMORY_HOOKS:
            raise FirmwareError(f"accesses can not be watched on {self.core}")
        return self.counter.watch_reads(base, size_bytes)

    def watch_cache(self, cache: DataCache) -> None:
        """Feeds a model of the data cache from now on; slows the emulation.

        Raises:
          FirmwareError: on a core where watching accesses falsifies results.
        """
        if self.core in _NO_MEMORY_HOOKS:
            raise FirmwareError(f"accesses can not be watched on {self.core}")
        cache.follow(self._uc, self.counter)

    # ---- running -------------------------------------------------------------------------------

    def start(self, exits: Sequence[int], limit: int) -> None:
        """Sets where `proceed` stops, and after how many instructions in all it gives up."""
        self._fault = None
        self.counter.set_limit(limit)
        self._uc.ctl_set_exits(list(exits))

    def proceed(self, address: int) -> int:
        """Runs from an address to the next exit, or to where something stopped the core.

        Returns:
          The program counter.

        Raises:
          GuestFault: an access outside the memories, an exception, or the limit.
        """
        try:
            self._uc.emu_start(address | 1, 0)
        except UcError as error:
            if self._fault is None and not self._expects_stop():
                self._fault = GuestFault(str(error))
        pc = self.pc
        self._raise_fault(pc)
        return pc

    def call(self, function: int, arguments: Sequence[int], *, stack: int, back: int,
             limit: int) -> int:  # fmt: skip
        """Calls a function as the procedure call standard (AAPCS) says.

        Args:
          function: its address.
          arguments: 32-bit integers or addresses.
          stack: top of the stack, a multiple of 8.
          back: an address where there is no code; the function returns there and the core stops.
          limit: most instructions.

        Returns:
          r0, signed.

        Raises:
          GuestFault: as `proceed`, or the function did not give its stack or registers back.
        """
        top = stack - stack_argument_bytes(arguments)
        if rest := arguments[len(_ARGUMENT_REGISTERS) :]:
            self.write(top, np.array([a & _WORD for a in rest], np.uint32).tobytes())
        for register, value in zip(_ARGUMENT_REGISTERS, arguments, strict=False):
            self._uc.reg_write(register, value & _WORD)
        for register in _KEPT_REGISTERS:
            self._uc.reg_write(register, register)
        self._uc.reg_write(UC_ARM_REG_SP, top)
        self._uc.reg_write(UC_ARM_REG_LR, back | 1)
        self.start((back,), limit)
        pc = self.proceed(function)
        if pc != back:
            raise GuestFault(
                f"{self.name}: stopped at {self.elf.describe(pc)}, not behind the call"
            )
        kept = [self._uc.reg_read(register) for register in _KEPT_REGISTERS]
        if self._uc.reg_read(UC_ARM_REG_SP) != top or kept != list(_KEPT_REGISTERS):
            where = self.elf.describe(function)
            raise GuestFault(
                f"{self.name}: {where} returned with another stack pointer or registers"
            )
        return ctypes.c_int32(self.r0).value

    @property
    def pc(self) -> int:
        """The program counter."""
        return int(self._uc.reg_read(UC_ARM_REG_PC))

    @property
    def return_address(self) -> int:
        """Where the function that runs returns to."""
        return int(self._uc.reg_read(UC_ARM_REG_LR)) & ~1

    @property
    def r0(self) -> int:
        """First argument, or result."""
        return int(self._uc.reg_read(UC_ARM_REG_R0))

    @r0.setter
    def r0(self, value: int) -> None:
        self._uc.reg_write(UC_ARM_REG_R0, value)

    @property
    def r1(self) -> int:
        """Second argument."""
        return int(self._uc.reg_read(UC_ARM_REG_R1))

    def set_stack_pointer(self, address: int) -> None:
        """Sets r13."""
        self._uc.reg_write(UC_ARM_REG_SP, address)

    # ---- faults --------------------------------------------------------------------------------

    def _stop_with(self, fault: GuestFault, address: int | None) -> None:
        if self._fault is None:
            fault.address = address
            self._fault = fault
        self.stop()

    def stop(self) -> None:
        """Makes `proceed` return, from a callback."""
        self._uc.emu_stop()

    def fail(self, message: str) -> None:
        """Raises the fault that happened at this program counter."""
        self._fault = GuestFault(message)
        self._raise_fault(self.pc)

    def _expects_stop(self) -> bool:
        """Whether an error of the engine is an answer to `stop`."""
        return False

    def _handles(self, exception: int) -> bool:
        """Whether an exception is none here; a core on its own handles none."""
        del exception
        return False

    def _on_invalid_memory(
        self, _uc: Uc, access: int, address: int, size: int, _value: int, _data: object
    ) -> bool:
        self._stop_with(GuestFault(invalid_access(access, address, size)), address)
        return False

    def _on_exception(self, _uc: Uc, number: int, _data: object) -> None:
        if not self._handles(number):
            self._stop_with(GuestFault(exception_name(number)), None)

    def _raise_fault(self, pc: int) -> None:
        fault = self._fault or self.counter.fault()
        if fault is not None:
            place = f"{fault}, pc {pc:#010x} in {self.elf.describe(pc)}"
            raise type(fault)(f"{self.name}: {place}", fault.address, pc)
