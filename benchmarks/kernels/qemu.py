# SPDX-License-Identifier: Apache-2.0
"""Single kernels on a core with Helium, in QEMU; `benchmarks.kernels.emulator` has the others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels import emulator
from benchmarks.kernels.c_structs import c_struct
from benchmarks.kernels.emulator import HERE, CallResult, EmulationError
from boards.core import CPU_OF, Core
from converter.compile.weights import WeightOrder
from firmware.elf import Elf
from firmware.emulator.core import stack_argument_bytes
from firmware.emulator.qemu.debugger import LR, PC, R0, SP, Debugger
from firmware.emulator.qemu.process import QemuProcess
from tflm_custom_ops.ops import Params
from tflm_custom_ops.sources import kernel_files

MACHINE = "mps3-an547"
_M55 = CPU_OF["cortex-m55"]
# With a floating-point unit, and with integers only.
CORES = {"cortex-m55": Core(_M55, _M55.fpus[1]), "cortex-m55+nofp": Core(_M55)}
RAM_BASE, RAM_BYTES = 0x6100_0000, 16 << 20  # of the board's DRAM
_VECTORS = RAM_BASE - 4096  # words below it
ENABLE = "kernels_enable"
STACK_BYTES = 64 << 10
_XPSR, _THUMB = 25, 1 << 24
_WAIT_S = 600.0
_KEPT = range(4, 12)  # core registers that a function keeps; of Helium's D8 to D15
_PATTERN = np.arange(0x5A5A_0000, 0x5A5A_0010, dtype=np.uint32)


def build(
    core: Core,
    optimisation: Sequence[str] = emulator.OPTIMISATION,
    defines: Sequence[str] = (),
    more: Sequence[Path] = (),
) -> Path:
    """The kernels, and more sources, for a core with Helium as a bare ELF."""
    sources = [*kernel_files(".c", ".S"), *more, HERE / "enable_mve.S"]
    return emulator.build(core, sources, ("VIT_WEIGHT_ROWS", *defines), optimisation)


class QemuKernels:
    """One ELF of kernels in QEMU, with a bump allocator in its RAM: a `KernelMachine`."""

    def __init__(self, elf: Path) -> None:
        """Loads an ELF that :func:`build` linked; FirmwareError without QEMU."""
        self.elf = Elf(elf)
        self._process = QemuProcess(MACHINE, elf)
        self._debugger: Debugger = self._process.debugger
        self._back = self.elf.address("kernels_back")
        self._debugger.set_breakpoint(self._back)
        self._debugger.set_register(_XPSR, _THUMB)
        self._next = RAM_BASE
        self.call(ENABLE)

    order = WeightOrder.ROWS

    def address_of(self, function: str) -> int:
        return self.elf.address(function) | 1

    def reset_memory(self) -> None:
        self._next = RAM_BASE

    def alloc(self, count_bytes: int, fill: int = 0xCD) -> int:
        address = (self._next + 15) & ~15
        end = address + count_bytes
        if end > RAM_BASE + RAM_BYTES - STACK_BYTES:
            raise EmulationError(f"RAM: got {end - RAM_BASE} bytes, expected less than 16 MB")
        self._debugger.write(address, bytes((fill,)) * count_bytes)
        self._next = end
        return address

    def put(self, values: NDArray[np.generic]) -> int:
        address = (self._next + 15) & ~15
        data = np.ascontiguousarray(values).tobytes()
        self._next = address + len(data)
        self._debugger.write(address, data)
        return address

    def write(self, address: int, values: NDArray[np.generic]) -> None:
        self._debugger.write(address, np.ascontiguousarray(values).tobytes())

    def get(
        self, address: int, dtype: type[np.generic], shape: Sequence[int]
    ) -> NDArray[np.generic]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(self._debugger.read(address, size), dtype).reshape(shape)

    def parameters(self, op: Params) -> int:
        return self.put(
            np.frombuffer(c_struct(op, self.put, self.address_of, self.order), np.uint8)
        )

    def call(
        self, name: str, *arguments: int, paint: bool = False, profile: bool = False
    ) -> CallResult:
        if profile:
            raise EmulationError("QEMU does not see functions; expected profile=False")
        if not self.elf.has_symbol(name):
            raise EmulationError(f"no function {name} in the ELF")
        debugger, top = self._debugger, RAM_BASE + RAM_BYTES
        if name != ENABLE:
            debugger.write(_VECTORS, _PATTERN.tobytes())
            self._run("kernels_fill", _VECTORS)
            for register in _KEPT:
                debugger.set_register(register, int(_PATTERN[register]))
        if paint:
            debugger.write(top - STACK_BYTES, bytes((emulator.STACK_PAINT,)) * STACK_BYTES)
        before = self._process.instructions()
        registers = self._run(name, *arguments)
        count = self._process.instructions() - before
        stack = self._stack_bytes(stack_argument_bytes(arguments)) if paint else -1
        if name != ENABLE:
            self._expect_kept(name, registers)
        return CallResult(int(np.uint32(registers[R0]).astype(np.int32)), count, stack)

    def _run(self, name: str, *arguments: int) -> tuple[int, ...]:
        """Registers behind a function."""
        debugger, passed = self._debugger, stack_argument_bytes(arguments)
        top, words = RAM_BASE + RAM_BYTES - passed, [a & 0xFFFF_FFFF for a in arguments]
        for register, value in enumerate(words[:4]):
            debugger.set_register(register, value)
        if words[4:]:
            debugger.write(top, np.array(words[4:], np.uint32).tobytes())
        debugger.set_register(SP, top)
        debugger.set_register(LR, self._back | 1)
        debugger.set_register(PC, self.elf.address(name))
        debugger.go()
        if not debugger.stopped(_WAIT_S):
            raise EmulationError(f"{name}: no end after {_WAIT_S} s")
        registers = debugger.registers()
        if registers[PC] != self._back:
            where = self.elf.describe(registers[PC])
            raise EmulationError(f"{name}: stopped at {registers[PC]:#010x} in {where}")
        if registers[SP] != top:
            raise EmulationError(f"{name}: returned with another stack pointer")
        return registers

    def _expect_kept(self, name: str, registers: tuple[int, ...]) -> None:
        """A function leaves r4 to r11 and D8 to D15 as they were, which its caller may rely on."""
        lost = [f"r{i}" for i in _KEPT if registers[i] != int(_PATTERN[i])]
        self._run("kernels_kept", _VECTORS)
        found = self.get(_VECTORS, np.uint32, _PATTERN.shape)
        lost += [f"s{16 + i}" for i in np.flatnonzero(found != _PATTERN)]
        if lost:
            raise EmulationError(f"{name}: changed {', '.join(lost)}, which a function keeps")

    def _stack_bytes(self, passed: int) -> int:
        raw = self._debugger.read(RAM_BASE + RAM_BYTES - STACK_BYTES, STACK_BYTES - passed)
        used = np.flatnonzero(np.frombuffer(raw, np.uint8) != emulator.STACK_PAINT)
        return 0 if used.size == 0 else STACK_BYTES - passed - int(used[0])

    def watching(self) -> contextlib.AbstractContextManager[NDArray[np.uint32]]:
        return _not_watched()


def _not_watched() -> NoReturn:
    raise EmulationError("QEMU does not see accesses; expected watch=False")
