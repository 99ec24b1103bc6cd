# SPDX-License-Identifier: Apache-2.0
"""Loads the model of the data cache (data_cache.c) and reads its counts.

The model's size, lines, ways and replacement, and what of each region is cached, are the board's
(boards/). RAM is write-back with write-allocate, as the Cortex-M7's default memory map has it (Arm
DDI 0489, section 5.9); flash is never written. Not modelled: time, the core's dynamic read-allocate
mode, and other masters.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Sequence

from unicorn import UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

from boards import Region
from boards.core import Cache, LineReplacement
from boards.memory import RegionKind
from firmware.emulator.counter import Counter, native_library


class _Counts(ctypes.Structure):
    """`CacheCounts` in data_cache.c."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("loads", "stores", "fills", "seeks", "write_backs", "through")
    ]


@dataclasses.dataclass(frozen=True)
class RegionAccesses:
    """What one operator, or several, did in a region.

    Attributes:
      loads, stores: of the core, tightly coupled memory included.
      fills: lines that the cache fetched.
      seeks: of these, the ones that do not follow the region's fill before.
      write_backs: dirty lines that were written back.
    """

    loads: int = 0
    stores: int = 0
    fills: int = 0
    seeks: int = 0
    write_backs: int = 0

    def __add__(self, other: RegionAccesses) -> RegionAccesses:
        mine, others = dataclasses.astuple(self), dataclasses.astuple(other)
        return RegionAccesses(*(a + b for a, b in zip(mine, others, strict=True)))


@functools.cache
def _library() -> ctypes.CDLL:
    library, word, pointer = native_library(), ctypes.c_uint32, ctypes.c_void_p
    library.data_cache_new.argtypes = [word, word, word, ctypes.c_bool, word]
    library.data_cache_new.restype = pointer
    library.data_cache_free.argtypes = [pointer]
    library.data_cache_add_region.argtypes = [pointer, word, word, word, ctypes.c_bool]
    library.data_cache_set_counter.argtypes = [pointer, pointer]
    library.data_cache_counts.argtypes = [pointer, word, word]
    library.data_cache_counts.restype = ctypes.POINTER(_Counts)
    library.data_cache_access.argtypes = [pointer, word, word, word, ctypes.c_bool]
    return library


class DataCache:
    """A data cache, empty at first, for the regions of a board."""

    def __init__(self, shape: Cache, regions: Sequence[Region], operators: int = 1) -> None:
        self._library = _library()
        self._names = [region.name for region in regions]
        self._handle = self._library.data_cache_new(
            shape.line_bytes,
            shape.ways,
            shape.sets,
            shape.replacement is LineReplacement.RANDOM,
            operators,
        )
        for region in regions:
            allocates = region.kind is RegionKind.RAM
            places = (region.base, region.cached_base, region.end)
            if self._library.data_cache_add_region(self._handle, *places, allocates):
                raise ValueError("too many regions")

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            self._library.data_cache_free(handle)
            self._handle = None

    def access(self, address: int, size_bytes: int, *, write: bool = False) -> None:
        """One load or store of operator 0."""
        self._library.data_cache_access(self._handle, 0, address, size_bytes, write)

    def follow(self, engine: Uc, counter: Counter) -> None:
        """Takes every access of the operators that the counter meters, from now on."""
        self._library.data_cache_set_counter(self._handle, counter.handle)
        self._counter = counter  # kept alive: the hook asks it
        status = uclib.uc_hook_add(
            engine._uch,
            ctypes.byref(ctypes.c_size_t()),
            UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE,
            ctypes.cast(self._library.data_cache_hook, ctypes.c_void_p),
            ctypes.c_void_p(self._handle),
            ctypes.c_uint64(1),  # begin > end: every address.
            ctypes.c_uint64(0),
        )
        if status != 0:
            raise UcError(status)

    def accesses(self, operator: int = 0) -> dict[str, RegionAccesses]:
        """What an operator did so far, by region."""
        found = {}
        for number, name in enumerate(self._names):
            counts = self._library.data_cache_counts(self._handle, operator, number).contents
            found[name] = RegionAccesses(
                *(int(getattr(counts, f.name)) for f in dataclasses.fields(RegionAccesses))
            )
        return found
