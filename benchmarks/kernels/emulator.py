# SPDX-License-Identifier: Apache-2.0
"""Runs single kernels on an emulated Cortex-M and counts their instructions exactly.

A small bare ELF (:func:`build`) is loaded into the core of `firmware.emulator`;
:meth:`KernelEmulator.call` calls one of its functions. Counts are exact and repeatable; they are
instructions, not cycles.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boards.core import CPU_OF, NO_FPU, Core
from converter.compile.weights import WeightOrder
from firmware.elf import Elf
from firmware.emulator.core import CortexM, stack_argument_bytes
from firmware.emulator.counter import BlockReading
from firmware.emulator.faults import GuestFault
from firmware.emulator.memory import Access, Memory
from firmware.errors import FirmwareError
from tflm_custom_ops.host_library import PARAMS_BYTES
from tflm_custom_ops.ops import Params, encode, operator_of
from tflm_custom_ops.sources import KERNELS, kernel_files
from toolchain import Compiler, cached, compiled, cross_tool, digest, raised_as, run_tool

HERE = Path(__file__).parent
KIND = "single_kernels"  # in the cache
OPTIMISATION = ("-O3",)

CODE_BASE = 0x00010000
CODE_BYTES = 1 << 20
RAM_BASE = 0x20000000
RAM_BYTES = 16 << 20
STACK_BYTES = 64 << 10
RETURN_ADDRESS = CODE_BASE + CODE_BYTES - 4  # nothing is linked here; execution stops at it
STACK_PAINT = 0xA5
LIMIT = 100_000_000_000  # instructions of one call, against a kernel that hangs


class EmulationError(RuntimeError):
    """The compiler failed, a symbol is missing, or the core faulted; the message says which."""


def core_of(name: str) -> Core:
    """A core with the floating-point unit of single precision, if it can have one."""
    cpu = CPU_OF[name]
    return Core(cpu, next((fpu for fpu in cpu.fpus if fpu.word == "single"), NO_FPU))


CORTEX_M7, CORTEX_M4 = core_of("cortex-m7"), core_of("cortex-m4")
CORES = {name: core_of(name) for name, cpu in CPU_OF.items() if not cpu.mve}


@dataclasses.dataclass(frozen=True)
class CallResult:
    """What one call did."""

    result: int  # r0, signed
    instructions: int
    stack_bytes: int  # -1 unless the stack was painted


def _gcc() -> Compiler:
    with raised_as(lambda error: EmulationError(str(error))):
        return cross_tool("gcc")


def compiler_version() -> str:
    """The first line that the cross compiler says of itself."""
    return _gcc().says.splitlines()[0]


def build(
    core: Core = CORTEX_M7,
    sources: Sequence[Path] | None = None,
    defines: Sequence[str] = (),
    optimisation: Sequence[str] = OPTIMISATION,
) -> Path:
    """Links ``sources`` (default: all kernels) for ``core`` into a bare ELF; returns its path.

    Objects are cached by the command and the sources, so a second call is quick.

    Raises:
      EmulationError: no compiler, or it failed; the message has its first error and all of it.
    """
    with raised_as(lambda error: EmulationError(f"{error}\n{error.details}".strip())):
        return _link(core, objects(core, sources, defines, optimisation))


def objects(
    core: Core = CORTEX_M7,
    sources: Sequence[Path] | None = None,
    defines: Sequence[str] = (),
    optimisation: Sequence[str] = OPTIMISATION,
) -> list[Path]:
    """The object files that :func:`build` links for the same arguments.

    Raises:
      ToolchainError: no compiler, or it failed.
    """
    chosen = kernel_files(".c", ".S") if sources is None else list(sources)
    headers = sorted({h for s in chosen for h in s.parent.glob("*.h")} | set(kernel_files(".h")))
    flags = [
        *core.compiler_flags(), *optimisation, "-std=c11", "-ffunction-sections",
        "-fdata-sections", "-fno-common", *(f"-D{d}" for d in defines),
    ]  # fmt: skip
    folders = sorted({KERNELS, *(source.parent for source in chosen)})
    places = [f"-I{KERNELS}", *(f"-ffile-prefix-map={folder}=." for folder in folders)]
    return compiled(KIND, cross_tool("gcc"), flags, chosen, headers, places=places)


def _link(core: Core, made: Sequence[Path]) -> Path:
    gcc = _gcc()
    script = HERE / "kernels.ld"
    contents = [path.read_bytes() for path in made]

    def link_into(work: Path) -> Path:
        elf = work / "kernels.elf"
        run_tool([
            gcc.path, *core.compiler_flags(), "-nostartfiles", "--specs=nosys.specs",
            "-Wl,-e,0", "-Wl,--no-warn-rwx-segments", f"-Wl,-T,{script}",
            "-o", str(elf), *map(str, made), "-lc", "-lgcc",
        ], "linking the kernels")  # fmt: skip
        return elf

    key = digest(gcc.version, *core.compiler_flags(), script.read_bytes(), *contents)
    return cached(KIND, f"kernels-{core.name}", ".elf", key, link_into)


_MEMORIES = (
    Memory(
        "CODE", CODE_BASE, CODE_BYTES, Access.READ | Access.WRITE | Access.EXECUTE, loadable=True
    ),
    Memory("RAM", RAM_BASE, RAM_BYTES, Access.READ | Access.WRITE),
)


class KernelEmulator:
    """One ELF of kernels in an emulated core, with a bump allocator in its RAM."""

    def __init__(self, elf: Path, core: Core = CORTEX_M7) -> None:
        """Loads an ELF that :func:`build` linked.

        Raises:
          EmulationError: it does not lie where kernels.ld puts it.
        """
        self.core = core
        self.elf = Elf(elf)
        try:
            self._machine = CortexM(core.name, self.elf, _MEMORIES, name=core.name)
        except FirmwareError as error:
            raise EmulationError(str(error)) from error
        self._machine.counter.set_metering(True)
        self._ram = self._machine.view(RAM_BASE, RAM_BYTES)
        self._next = RAM_BASE

    # ---- memory --------------------------------------------------------------------------------

    order = WeightOrder.PAIRS

    def address_of(self, function: str) -> int:
        """Of a function, as a pointer to it has it."""
        return self.elf.address(function) | 1

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

    def parameters(self, op: Params) -> int:
        """Serializes an operator and reads it as the firmware would; the address of its struct.

        Raises:
          EmulationError: the parser refuses it.
        """
        options, blob = encode(op)
        name = operator_of(op).NAME
        options_at = self.put(np.frombuffer(options, np.uint8))
        blob_at = self.put(np.frombuffer(blob or b"\0", np.uint8))
        params = self.alloc(PARAMS_BYTES)
        status = self.call(
            f"vit_parse_{name}", options_at, len(options), blob_at, len(blob), params
        ).result
        if status:
            raise EmulationError(f"vit_parse_{name}: got status {status}, expected 0")
        return params

    # ---- running -------------------------------------------------------------------------------

    def call(
        self, name: str, *arguments: int, paint: bool = False, profile: bool = False
    ) -> CallResult:
        """Calls a function with 32-bit integer arguments.

        ``paint`` measures the stack, ``profile`` resets and collects :meth:`profile`.
        """
        if not self.elf.has_symbol(name):
            raise EmulationError(f"no function {name} in the ELF")
        counter = self._machine.counter
        if paint:
            self._ram[-STACK_BYTES:] = STACK_PAINT
        if profile:
            counter.profile_reset()
        before = int(counter.head.total)
        top = RAM_BASE + RAM_BYTES
        try:
            result = self._machine.call(
                self.elf.address(name), arguments, stack=top, back=RETURN_ADDRESS, limit=LIMIT
            )
        except GuestFault as fault:
            raise EmulationError(f"{name}: {fault}") from fault
        stack = self._stack_bytes(arguments) if paint else -1
        return CallResult(result, int(counter.head.total) - before, stack)

    @contextlib.contextmanager
    def watching(self) -> Iterator[NDArray[np.uint32]]:
        """Counts how often each byte of RAM is read meanwhile: uint32 ``[RAM_BYTES]``.

        Only for the call in question: the engine is slow while it is watched, and Unicorn 2.1 then
        computes some 64-bit loads wrong (seen: the parser refused good options).
        """
        reads = self._machine.watch_reads(RAM_BASE, RAM_BYTES)
        try:
            yield reads
        finally:
            self._machine.counter.end_watch()

    def _stack_bytes(self, arguments: Sequence[int]) -> int:
        """What a call used of a painted stack, below its own arguments."""
        passed = stack_argument_bytes(arguments)
        used = np.flatnonzero(self._ram[-STACK_BYTES : RAM_BYTES - passed] != STACK_PAINT)
        return 0 if used.size == 0 else STACK_BYTES - passed - int(used[0])

    def profile_reset(self) -> None:
        """Forgets which blocks ran."""
        self._machine.counter.profile_reset()

    def executed_blocks(self) -> tuple[BlockReading, ...]:
        """Each block that ran since the last ``profile=True``."""
        return self._machine.counter.profile()

    def profile(self) -> dict[str, int]:
        """Instructions by function since the last call with ``profile=True``, most first."""
        totals: dict[str, int] = {}
        for block in self.executed_blocks():
            name = self.elf.describe(block.address).split("+")[0]
            totals[name] = totals.get(name, 0) + block.instructions * block.executions
        return dict(sorted(totals.items(), key=lambda item: -item[1]))
