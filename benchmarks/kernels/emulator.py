# SPDX-License-Identifier: Apache-2.0
"""Runs single kernels on an emulated Cortex-M and counts their instructions exactly.

A small bare ELF (:func:`build`) is loaded into Unicorn; :meth:`KernelEmulator.call` calls one of
its functions with arguments in registers and on the stack, as the procedure call standard (AAPCS)
says. Counts are exact and repeatable; they are instructions, not cycles.
"""

from __future__ import annotations

import bisect
import ctypes
import dataclasses
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import unicorn
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from numpy.typing import NDArray
from unicorn import arm_const

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "tflm_custom_ops" / "kernels"
BUILD = HERE.parents[1] / "build" / "kernels"  # objects, ELFs and the counter, by content
COMPILER = "arm-none-eabi-gcc"
OPTIMISATION = ("-O3",)

CODE_BASE = 0x00010000
CODE_BYTES = 1 << 20
RAM_BASE = 0x20000000
RAM_BYTES = 16 << 20
STACK_BYTES = 64 << 10
RETURN_ADDRESS = CODE_BASE + CODE_BYTES - 4  # nothing is linked here; execution stops at it
STACK_PAINT = 0xA5

_BLOCK_HOOK = 8  # UC_HOOK_BLOCK


class EmulationError(RuntimeError):
    """The compiler failed, a symbol is missing, or the core faulted; the message says which."""


@dataclasses.dataclass(frozen=True)
class Core:
    """A processor to compile for and to emulate."""

    name: str
    flags: tuple[str, ...]
    model: int


CORTEX_M7 = Core(
    "cortex-m7",
    ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    arm_const.UC_CPU_ARM_CORTEX_M7,
)
CORTEX_M4 = Core(
    "cortex-m4",
    ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    arm_const.UC_CPU_ARM_CORTEX_M4,
)
CORTEX_M33 = Core(
    "cortex-m33",
    ("-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    arm_const.UC_CPU_ARM_CORTEX_M33,
)
CORTEX_M3 = Core("cortex-m3", ("-mcpu=cortex-m3",), arm_const.UC_CPU_ARM_CORTEX_M3)
CORES = {core.name: core for core in (CORTEX_M7, CORTEX_M4, CORTEX_M33, CORTEX_M3)}


@dataclasses.dataclass(frozen=True)
class Call:
    """What one call did."""

    result: int  # r0, signed
    instructions: int
    stack_bytes: int  # -1 unless the stack was painted


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EmulationError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def compiler_version() -> str:
    return _run([COMPILER, "--version"]).splitlines()[0]


def build(
    core: Core = CORTEX_M7,
    directory: Path = BUILD,
    sources: Sequence[Path] | None = None,
    defines: Sequence[str] = (),
    optimisation: Sequence[str] = OPTIMISATION,
) -> Path:
    """Links ``sources`` (default: all kernels) for ``core`` into a bare ELF; returns its path.

    Objects are cached by a hash of the command and of the sources, so a second call is quick.
    """
    sources = sorted(KERNELS.glob("*.[cS]")) if sources is None else list(sources)
    headers = sorted({h for s in sources for h in s.parent.glob("*.h")} | set(KERNELS.glob("*.h")))
    header_digest = hashlib.sha256(b"".join(h.read_bytes() for h in headers)).hexdigest()
    flags = [
        *core.flags, "-mthumb", *optimisation, "-std=c11", "-ffunction-sections",
        "-fdata-sections", "-fno-common", f"-I{KERNELS}",
        *(f"-D{d}" for d in defines),
    ]  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in sources:
        key = hashlib.sha256(
            "\0".join([*flags, header_digest]).encode() + source.read_bytes()
        ).hexdigest()[:16]
        target = directory / f"{source.stem}-{source.suffix[1:]}-{key}.o"
        if not target.exists():
            with tempfile.NamedTemporaryFile(dir=directory, suffix=".o", delete=False) as part:
                pass
            _run([COMPILER, *flags, "-c", str(source), "-o", part.name])
            os.replace(part.name, target)
        objects.append(str(target))
    key = hashlib.sha256("\0".join(objects).encode()).hexdigest()[:16]
    elf = directory / f"kernels-{core.name}-{key}.elf"
    if not elf.exists():
        part_elf = elf.with_suffix(f".{os.getpid()}.part")
        _run([
            COMPILER, *core.flags, "-mthumb", "-nostartfiles", "--specs=nosys.specs",
            "-Wl,-e,0", "-Wl,--no-warn-rwx-segments", f"-Wl,-T,{HERE / 'kernels.ld'}",
            "-o", str(part_elf), *objects, "-lc", "-lgcc",
        ])  # fmt: skip
        os.replace(part_elf, elf)
    return elf


def _counter_library(directory: Path) -> ctypes.CDLL:
    source = HERE / "block_counter.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    target = directory / f"block_counter-{key}.so"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.part")
        _run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", str(source), "-o", str(part)])
        os.replace(part, target)
    return ctypes.CDLL(str(target))


class _BlockCounter(ctypes.Structure):
    _fields_ = (
        ("instructions", ctypes.c_uint64),
        ("code_base", ctypes.c_uint32),
        ("code_halfwords", ctypes.c_uint32),
        ("code", ctypes.c_void_p),
        ("per_block", ctypes.c_void_p),
        ("known_size", ctypes.c_void_p),
        ("known_count", ctypes.c_void_p),
        ("outside", ctypes.c_uint64),
    )


@dataclasses.dataclass(frozen=True)
class Symbol:
    name: str
    address: int
    size_bytes: int


class KernelEmulator:
    """One ELF in one emulated core, with a bump allocator in its RAM."""

    def __init__(self, elf: Path, core: Core = CORTEX_M7) -> None:
        self.core = core
        self._code = np.zeros(CODE_BYTES, np.uint8)
        self._ram = np.zeros(RAM_BYTES, np.uint8)
        self.symbols: dict[str, Symbol] = {}
        self._load(elf)
        self._functions = sorted(self.symbols.values(), key=lambda s: s.address)
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        uc.ctl_set_cpu_model(core.model)
        all_access = unicorn.UC_PROT_ALL
        uc.mem_map_ptr(CODE_BASE, CODE_BYTES, all_access, self._code.ctypes.data)
        uc.mem_map_ptr(RAM_BASE, RAM_BYTES, all_access, self._ram.ctypes.data)
        self._uc = uc
        self._per_block = np.zeros(CODE_BYTES // 2, np.uint64)
        self._known = np.zeros((2, CODE_BYTES // 2), np.uint16)
        self._counter = _BlockCounter(
            0, CODE_BASE, CODE_BYTES // 2, self._code.ctypes.data, self._per_block.ctypes.data,
            self._known[0].ctypes.data, self._known[1].ctypes.data, 0,
        )  # fmt: skip
        self._library = _counter_library(elf.parent)
        self._install_hook()
        self._next = RAM_BASE

    def _load(self, path: Path) -> None:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            for segment in elf.iter_segments("PT_LOAD"):
                data = segment.data()
                start = segment["p_paddr"] - CODE_BASE
                if start < 0 or start + len(data) > CODE_BYTES:
                    raise EmulationError(f"{path}: segment at {segment['p_paddr']:#x} outside code")
                self._code[start : start + len(data)] = np.frombuffer(data, np.uint8)
            table = elf.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise EmulationError(f"{path}: no symbol table")
            for symbol in table.iter_symbols():
                if symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT") and symbol.name:
                    self.symbols[symbol.name] = Symbol(
                        symbol.name, symbol["st_value"] & ~1, symbol["st_size"]
                    )

    def _install_hook(self) -> None:
        from unicorn.unicorn_py3 import unicorn as binding

        self._hook = ctypes.c_size_t()
        status = binding.uclib.uc_hook_add(
            self._uc._uch, ctypes.byref(self._hook), _BLOCK_HOOK,
            ctypes.cast(self._library.count_block, ctypes.c_void_p),
            ctypes.cast(ctypes.byref(self._counter), ctypes.c_void_p),
            ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        if status:
            raise EmulationError(f"uc_hook_add: got status {status}, expected 0")

    # ---- memory --------------------------------------------------------------------------------

    def reset_memory(self) -> None:
        """Frees everything that :meth:`alloc` and :meth:`put` gave out."""
        self._next = RAM_BASE

    def alloc(self, count_bytes: int, fill: int = 0xCD) -> int:
        """Address of ``count_bytes`` bytes, 16-byte aligned, filled with ``fill``."""
        address = (self._next + 15) & ~15
        end = address + count_bytes
        if end > RAM_BASE + RAM_BYTES - STACK_BYTES:
            raise EmulationError(f"RAM: got {end - RAM_BASE} bytes, expected less than 16 MB")
        self._ram[address - RAM_BASE : end - RAM_BASE] = fill
        self._next = end
        return address

    def put(self, values: NDArray[np.generic]) -> int:
        """Copies an array into RAM; returns its address."""
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        address = self.alloc(data.size)
        self._ram[address - RAM_BASE : address - RAM_BASE + data.size] = data
        return address

    def write(self, address: int, values: NDArray[np.generic]) -> None:
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._ram[address - RAM_BASE : address - RAM_BASE + data.size] = data

    def get(
        self, address: int, dtype: type[np.generic], shape: Sequence[int]
    ) -> NDArray[np.generic]:
        """A copy of an array in RAM."""
        count = int(np.prod(shape))
        start = address - RAM_BASE
        data = self._ram[start : start + count * np.dtype(dtype).itemsize].tobytes()
        return np.frombuffer(data, dtype).reshape(shape)

    # ---- running -------------------------------------------------------------------------------

    def call(self, name: str, *arguments: int, paint: bool = False, profile: bool = False) -> Call:
        """Calls a function with 32-bit integer arguments.

        ``paint`` measures the stack, ``profile`` resets and collects :meth:`profile`.
        """
        if name not in self.symbols:
            raise EmulationError(f"no function {name} in the ELF")
        top = RAM_BASE + RAM_BYTES
        extra = arguments[4:]
        sp = top - ((4 * len(extra) + 7) & ~7)
        if paint:
            self._ram[-STACK_BYTES:] = STACK_PAINT
        if extra:
            self.write(sp, np.array([a & 0xFFFFFFFF for a in extra], np.uint32))
        if profile:
            self._per_block[:] = 0
        uc = self._uc
        for register, value in zip(
            (arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2,
             arm_const.UC_ARM_REG_R3), arguments, strict=False,
        ):  # fmt: skip
            uc.reg_write(register, value & 0xFFFFFFFF)
        uc.reg_write(arm_const.UC_ARM_REG_SP, sp)
        uc.reg_write(arm_const.UC_ARM_REG_LR, RETURN_ADDRESS | 1)
        before = self._counter.instructions
        try:
            uc.emu_start(self.symbols[name].address | 1, RETURN_ADDRESS)
        except unicorn.UcError as error:
            pc = uc.reg_read(arm_const.UC_ARM_REG_PC)
            raise EmulationError(f"{name}: {error} at {pc:#x} in {self.function_at(pc)}") from error
        if uc.reg_read(arm_const.UC_ARM_REG_SP) != sp:
            raise EmulationError(f"{name}: stack pointer not restored")
        if self._counter.outside:
            raise EmulationError(f"{name}: ran code outside the ELF")
        if uc.reg_read(arm_const.UC_ARM_REG_PC) != RETURN_ADDRESS:
            raise EmulationError(f"{name}: stopped before its return")
        stack = -1
        if paint:
            used = np.flatnonzero(self._ram[-STACK_BYTES : RAM_BYTES - (top - sp)] != STACK_PAINT)
            stack = 0 if used.size == 0 else STACK_BYTES - (top - sp) - int(used[0])
        result = ctypes.c_int32(uc.reg_read(arm_const.UC_ARM_REG_R0)).value
        return Call(result, self._counter.instructions - before, stack)

    def function_at(self, address: int) -> str:
        index = bisect.bisect_right([s.address for s in self._functions], address) - 1
        return self._functions[index].name if index >= 0 else "?"

    def executed_blocks(self) -> list[tuple[int, int, int]]:
        """(address, instructions, executions) of each block since the last ``profile=True``."""
        blocks = []
        for index in np.flatnonzero(self._per_block):
            count = int(self._known[1][index])
            blocks.append((CODE_BASE + 2 * int(index), count, int(self._per_block[index]) // count))
        return blocks

    def profile(self) -> dict[str, int]:
        """Instructions by function since the last call with ``profile=True``, most first."""
        totals: dict[str, int] = {}
        starts = [s.address for s in self._functions]
        for index in np.flatnonzero(self._per_block):
            address = CODE_BASE + 2 * int(index)
            name = self._functions[bisect.bisect_right(starts, address) - 1].name
            totals[name] = totals.get(name, 0) + int(self._per_block[index])
        return dict(sorted(totals.items(), key=lambda item: -item[1]))
