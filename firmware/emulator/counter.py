# SPDX-License-Identifier: Apache-2.0
"""Builds, loads and drives the native instruction counter (counter.c)."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
from unicorn.arm_const import (
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_SP,
)
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

from firmware.emulator.faults import EndlessFault, GuestFault
from firmware.emulator.interface import OperatorReading
from firmware.errors import FirmwareError
from toolchain import cached, digest, host_c, raised_as, run_tool

_FOLDER = Path(__file__).parent
_SOURCES = tuple(_FOLDER / name for name in ("counter.c", "data_cache.c"))
_HEADERS = (_FOLDER / "counter.h",)
_COMPILE_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")


class CounterError(enum.IntEnum):
    """Why the counter stopped the emulation (COUNTER_* in counter.c)."""

    NONE = 0
    LIMIT = 1
    NO_CODE = 2
    NO_MEMORY = 3
    OPERATOR = 4
    ALIGNMENT = 5


class _CounterHead(ctypes.Structure):
    """The first fields of `Counter` in counter.c."""

    _fields_ = [
        ("total", ctypes.c_uint64),
        ("metered", ctypes.c_uint64),
        ("limit", ctypes.c_uint64),
        ("error", ctypes.c_uint32),
        ("error_address", ctypes.c_uint32),
        ("lowest_stack", ctypes.c_uint32),
        ("lowest_pointer", ctypes.c_uint32),
    ]


@dataclasses.dataclass(frozen=True)
class BlockReading:
    """A translated block: address, instructions in it, how often it ran while metered."""

    address: int
    instructions: int
    executions: int


def _compiled() -> Path:
    """The counter as a shared library."""
    content = b"".join(path.read_bytes() for path in (*_SOURCES, *_HEADERS))
    with raised_as(lambda error: FirmwareError(f"the emulator needs {error}", error.details)):
        compiler = host_c()
        key = digest(compiler.version, " ".join(_COMPILE_FLAGS), content)

        def compile_into(work: Path) -> Path:
            library = work / "counter.so"
            command = [compiler.path, *_COMPILE_FLAGS, *map(str, _SOURCES), "-o", str(library)]
            run_tool(command, "the instruction counter")
            return library

        return cached("emulator", "counter", ".so", key, compile_into)


@functools.cache
def native_library() -> ctypes.CDLL:
    """The counter and the model of the data cache, compiled."""
    library = ctypes.CDLL(str(_compiled()))
    word, pointer = ctypes.c_uint32, ctypes.c_void_p
    library.counter_new.restype = pointer
    library.counter_free.argtypes = [pointer]
    number = ctypes.c_int
    library.counter_set_unicorn.argtypes = [
        *(pointer, pointer, pointer),
        *(number, number, number, number, number),
    ]
    library.counter_set_marks.argtypes = [pointer, word, word, word]
    library.counter_set_metering.argtypes = [pointer, ctypes.c_bool]
    library.counter_set_stack.argtypes = [pointer, word, word, word, pointer]
    library.counter_add_range.argtypes = [pointer, word, word, pointer]
    library.counter_set_operators.argtypes = [pointer, word]
    library.counter_reset.argtypes = [pointer]
    library.counter_update_stack.argtypes = [pointer]
    library.counter_profile.argtypes = [pointer, pointer, pointer, pointer, word]
    library.counter_profile.restype = word
    library.counter_profile_reset.argtypes = [pointer]
    library.counter_watch.argtypes = [pointer, word, word, pointer]
    library.counter_operator.argtypes = [pointer, word, pointer, pointer, pointer]
    return library


class Counter:
    """Counts the instructions that one Unicorn engine executes.

    Attributes of the head (`total`, `metered`, `lowest_stack`) can be read at any time, also from
    a callback while the engine runs.
    """

    def __init__(self, engine: Uc) -> None:
        self._library = native_library()
        self._handle = self._library.counter_new()
        if not self._handle:
            raise MemoryError("counter_new")
        self.head = _CounterHead.from_address(self._handle)
        self._hook = ctypes.c_size_t()
        self._library.counter_set_unicorn(
            self._handle,
            ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p),
            ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p),
            UC_ARM_REG_LR,
            UC_ARM_REG_SP,
            UC_ARM_REG_R1,
            UC_ARM_REG_R2,
            UC_ARM_REG_PC,
        )
        self._engine = engine
        self._limit = 0
        self._add_hook(UC_HOOK_BLOCK, self._library.counter_block_hook)

    def _add_hook(self, kind: int, function: Any) -> None:
        status = uclib.uc_hook_add(
            self._engine._uch,
            ctypes.byref(self._hook),
            kind,
            ctypes.cast(function, ctypes.c_void_p),
            ctypes.c_void_p(self._handle),
            ctypes.c_uint64(1),  # begin > end: every address.
            ctypes.c_uint64(0),
        )
        if status != 0:
            raise UcError(status)

    @property
    def handle(self) -> int:
        """Of the native counter."""
        return int(self._handle)

    def check_alignment(self) -> None:
        """From now on an access that the core would refuse as unaligned stops the emulation."""
        kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
        self._add_hook(kinds, self._library.counter_memory_hook)

    def follow_pointer(self, top: int) -> None:
        """From now on `head.lowest_pointer` is the lowest stack pointer at the start of a block.

        What a block pushes and the next one does not keep is not seen: `lowest_stack` sees it.
        """
        self.head.lowest_pointer = top
        self._add_hook(UC_HOOK_BLOCK, self._library.counter_pointer_hook)

    def watch_reads(self, base: int, size_bytes: int) -> NDArray[np.uint32]:
        """Counts reads of guest memory while metered, from now on; slows the emulation.

        Returns:
          uint32[size_bytes]: how often each byte was read; it grows while the engine runs.
        """
        self._watched = np.zeros(size_bytes, np.uint32)  # Kept alive: the hook writes into it.
        counts = self._watched.ctypes.data_as(ctypes.c_void_p)
        self._library.counter_watch(self._handle, base, size_bytes, counts)
        self._add_hook(UC_HOOK_MEM_READ, self._library.counter_watch_hook)
        self._watch_hook = self._hook.value
        return self._watched

    def end_watch(self) -> None:
        """Ends what `watch_reads` began: the engine is as fast, and as right, as without it."""
        status = uclib.uc_hook_del(self._engine._uch, ctypes.c_size_t(self._watch_hook))
        if status != 0:
            raise UcError(status)

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self._library.counter_free(handle)
            self._handle = None

    def add_code(self, base: int, host: Any, size_bytes: int) -> None:
        """Names guest memory that may hold code: `host` is the buffer behind it."""
        if self._library.counter_add_range(self._handle, base, size_bytes, host) != 0:
            raise ValueError("too many code ranges")

    def set_marks(self, start: int, stop: int, operator: int) -> None:
        """Addresses of meter_start, meter_stop and meter_operator; 0 for none."""
        self._library.counter_set_marks(self._handle, start, stop, operator)

    def set_metering(self, metering: bool) -> None:
        """Meters from now on without marks, or not: for functions that are called by themselves."""
        self._library.counter_set_metering(self._handle, metering)

    def set_stack(self, bottom: int, top: int, paint: int, host: int) -> None:
        """The stack's guest range, its paint, and the host address of its lowest byte."""
        self._library.counter_set_stack(self._handle, bottom, top, paint, host)

    def set_operators(self, count: int) -> None:
        """The number of operators that meter_operator may name."""
        if self._library.counter_set_operators(self._handle, count) != 0:
            raise MemoryError("counter_set_operators")

    def set_limit(self, instructions: int) -> None:
        """So many from now on, then the emulation stops with a fault; forgets the last one."""
        self._limit = instructions
        self.head.error = CounterError.NONE
        self.head.limit = self.head.total + instructions

    def fault(self) -> GuestFault | None:
        """Why it stopped the emulation, if it did."""
        head = self.head
        match CounterError(head.error):
            case CounterError.NONE:
                return None
            case CounterError.LIMIT:
                return EndlessFault(f"more than {self._limit:,} instructions")
            case CounterError.ALIGNMENT:
                address = int(head.error_address)
                return GuestFault(f"unaligned access to {address:#010x}", address)
            case error:
                reason = f"instruction counter: {error.name.lower()}"
                return GuestFault(reason, int(head.error_address))

    def reset(self) -> None:
        """Zeroes the counts of the current inference."""
        self._library.counter_reset(self._handle)

    def update_stack(self) -> None:
        """Looks at the stack now, so that `head.lowest_stack` is current."""
        self._library.counter_update_stack(self._handle)

    def operator(self, index: int) -> OperatorReading:
        """Reads one operator."""
        instructions = ctypes.c_uint64()
        calls = ctypes.c_uint32()
        stack = ctypes.c_uint32()
        self._library.counter_operator(
            self._handle,
            index,
            ctypes.byref(instructions),
            ctypes.byref(calls),
            ctypes.byref(stack),
        )
        return OperatorReading(instructions.value, calls.value, stack.value)

    def profile(self) -> tuple[BlockReading, ...]:
        """Every block executed while metered, since the last `profile_reset`."""
        count = self._library.counter_profile(self._handle, None, None, None, 0)
        addresses = (ctypes.c_uint32 * count)()
        instructions = (ctypes.c_uint32 * count)()
        executions = (ctypes.c_uint64 * count)()
        self._library.counter_profile(self._handle, addresses, instructions, executions, count)
        return tuple(
            BlockReading(*row) for row in zip(addresses, instructions, executions, strict=True)
        )

    def profile_reset(self) -> None:
        """Forgets how often blocks ran."""
        self._library.counter_profile_reset(self._handle)
