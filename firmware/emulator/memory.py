# SPDX-License-Identifier: Apache-2.0
"""The memories of an emulated core: address ranges with their bytes and what code may do there."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import mmap
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from unicorn import UC_PROT_EXEC, UC_PROT_READ, UC_PROT_WRITE

from firmware.elf import Elf
from firmware.errors import FirmwareError


class Access(enum.IntFlag):
    """What code may do with a memory."""

    READ = UC_PROT_READ
    WRITE = UC_PROT_WRITE
    EXECUTE = UC_PROT_EXEC


@dataclasses.dataclass(frozen=True)
class Memory:
    """A memory of the core.

    Attributes:
      name: for messages.
      base, size_bytes: its addresses; multiples of 4,096.
      access: what code may do with it.
      erased: it holds 0xFF before anything is loaded, as flash does, else zeros.
      loadable: an ELF's segments may be loaded into it.
      aliases: other base addresses at which the same bytes appear.
      mapped: code sees it from the start; else `CortexM.map` shows it.
    """

    name: str
    base: int
    size_bytes: int
    access: Access
    erased: bool = False
    loadable: bool = False
    aliases: tuple[int, ...] = ()
    mapped: bool = True

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.base + self.size_bytes

    @property
    def bases(self) -> tuple[int, ...]:
        """Every address at which its bytes begin."""
        return (self.base, *self.aliases)


@dataclasses.dataclass(frozen=True, eq=False)
class _Filled:
    """A memory, its bytes, and their address on the host."""

    memory: Memory
    content: mmap.mmap
    host: int


class Memories:
    """Memories with their bytes; `owner` is who has them, for messages."""

    def __init__(self, memories: Iterable[Memory], owner: str) -> None:
        self._owner = owner
        self._filled = tuple(_filled(memory) for memory in memories)

    def __iter__(self) -> Iterator[Memory]:
        return (filled.memory for filled in self._filled)

    def _at(self, address: int, size_bytes: int) -> _Filled:
        for filled in self._filled:
            if filled.memory.base <= address and address + size_bytes <= filled.memory.end:
                return filled
        raise FirmwareError(
            f"{size_bytes} bytes at {address:#010x} lie outside the memory of {self._owner}"
        )

    def load(self, elf: Elf) -> None:
        """Copies an executable's segments.

        Raises:
          FirmwareError: a segment outside the memories, or in one that nothing is loaded into.
        """
        for segment in elf.segments:
            try:
                memory = self._at(segment.address, len(segment.data)).memory
            except FirmwareError as error:
                raise FirmwareError(f"{elf.path}: {error}") from None
            if not memory.loadable:
                raise FirmwareError(
                    f"{elf.path}: a segment is loaded at {segment.address:#010x} "
                    f"({memory.name}); only flash keeps its content"
                )
            self.write(segment.address, segment.data)

    def read(self, address: int, size_bytes: int) -> bytes:
        """Bytes at an address."""
        filled = self._at(address, size_bytes)
        start = address - filled.memory.base
        return filled.content[start : start + size_bytes]

    def write(self, address: int, data: bytes) -> None:
        """Writes bytes, whatever code may do there."""
        filled = self._at(address, len(data))
        start = address - filled.memory.base
        filled.content[start : start + len(data)] = data

    def view(self, address: int, size_bytes: int) -> NDArray[np.uint8]:
        """The bytes themselves, uint8 [size_bytes]; a change of them is one of the memory."""
        filled = self._at(address, size_bytes)
        start = address - filled.memory.base
        return np.frombuffer(filled.content, np.uint8)[start : start + size_bytes]

    def host_address(self, address: int) -> int:
        """Host address of a byte."""
        filled = self._at(address, 1)
        return filled.host + address - filled.memory.base


def _filled(memory: Memory) -> _Filled:
    content = mmap.mmap(-1, memory.size_bytes)
    if memory.erased:
        content.write(b"\xff" * memory.size_bytes)
    return _Filled(memory, content, ctypes.addressof(ctypes.c_char.from_buffer(content)))
