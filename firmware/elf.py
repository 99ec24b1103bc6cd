# SPDX-License-Identifier: Apache-2.0
"""What the emulator and the size report need from an ELF file."""

from __future__ import annotations

import bisect
import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

from boards import Board, Region
from firmware.elf_file import (
    EM_ARM,
    ET_EXEC,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHN_UNDEF,
    SHT_PROGBITS,
    STT_FUNC,
    ElfFile,
    ElfSection,
)
from firmware.errors import FirmwareError
from tflm_vit.files import read_bytes, reading

_MOST_BYTES = 1 << 28  # no flash is so large, debug information included


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A function or object: address without the Thumb bit, size in bytes."""

    name: str
    address: int
    size_bytes: int
    is_function: bool


@dataclasses.dataclass(frozen=True)
class MemoryUse:
    """Bytes of an image, by where they go.

    Attributes:
      flash_bytes: everything programmed into internal flash (code, constants, weights, initial
        values of .data and of ITCM code), from the first byte to the last.
      external_flash_bytes: the same of the QSPI flash.
      code_bytes: functions, internal flash and ITCM.
      kernel_code_bytes: the part of it in functions named vit_*.
      data_bytes: .data.
      bss_bytes: .bss.
      arena_bytes: the arena.
      stack_reserved_bytes: bytes the linker reserves for the stack.
    """

    flash_bytes: int
    external_flash_bytes: int
    code_bytes: int
    kernel_code_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    stack_reserved_bytes: int

    def sram_total_bytes(self, stack_used_bytes: int) -> int:
        """Arena, .data, .bss and the stack that a run really used."""
        return self.arena_bytes + self.data_bytes + self.bss_bytes + stack_used_bytes


class Elf:
    """An ARM ELF executable, read once.

    Raises:
      FirmwareError: the file is missing, or not an ARM executable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with reading(path, "an ELF file", FirmwareError):
                self._read(ElfFile(read_bytes(path, _MOST_BYTES)))
        except OSError as error:
            raise FirmwareError(f"cannot read {path}: {error.strerror}") from None

    def _read(self, file: ElfFile) -> None:
        if file.machine != EM_ARM or file.type != ET_EXEC:
            raise FirmwareError(
                f"{self.path}: got ELF type {file.type} for machine {file.machine}, "
                f"expected {ET_EXEC} for {EM_ARM}: an ARM executable"
            )
        self.entry = file.entry
        self.segments = file.segments
        self._sections = {s.name: (s.address, s.size) for s in file.sections if s.flags & SHF_ALLOC}
        self._read_symbols(file)
        self._code_ranges = tuple(self._iterate_code(file))

    def _read_symbols(self, file: ElfFile) -> None:
        if not file.symbols:
            raise FirmwareError(f"{self.path} has no symbol table; link it without -s")
        self._addresses: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        functions: list[Symbol] = []
        self._marks: list[tuple[int, str]] = []
        for entry in file.symbols:
            is_function = entry.kind == STT_FUNC
            if entry.name[:2] in ("$t", "$d"):
                self._marks.append((entry.value, entry.name[:2]))
            elif is_function:
                functions.append(Symbol(entry.name, entry.value & ~1, entry.size, True))
            if entry.name and entry.section != SHN_UNDEF:
                self._addresses[entry.name] = entry.value & ~1 if is_function else entry.value
                self._sizes[entry.name] = entry.size
        functions.sort(key=lambda symbol: symbol.address)
        self.functions = tuple(functions)
        self._function_starts = [symbol.address for symbol in functions]
        self._marks.sort()

    def _iterate_code(self, file: ElfFile) -> Iterator[tuple[int, bytes]]:
        for section in file.sections:
            if section.flags & SHF_EXECINSTR and section.kind == SHT_PROGBITS:
                yield from self._thumb_ranges(section)

    def _thumb_ranges(self, section: ElfSection) -> Iterator[tuple[int, bytes]]:
        """(address, bytes) of each run of Thumb code: from a $t mapping symbol to the next."""
        start, data = section.address, section.data
        end = start + len(data)
        marks = [(max(a, start), kind) for a, kind in self._marks if start <= a < end]
        for (address, kind), (following, _) in zip(marks, [*marks[1:], (end, "")], strict=True):
            if kind == "$t" and following > address:
                yield address, data[address - start : following - start]

    def address(self, name: str) -> int:
        """Address of a symbol; FirmwareError names the symbol when it is missing."""
        found = self._addresses.get(name)
        if found is None:
            raise FirmwareError(
                f"{self.path} has no symbol {name!r}; was it built by this version of firmware?"
            )
        return found

    def has_symbol(self, name: str) -> bool:
        """True when the symbol is defined."""
        return name in self._addresses

    def symbol_bytes(self, name: str) -> int:
        """Size of a symbol in bytes; FirmwareError when it is missing."""
        self.address(name)
        return self._sizes[name]

    def section_bytes(self, name: str) -> int:
        """Size of a section in memory; 0 when there is none."""
        return self._sections.get(name, (0, 0))[1]

    def describe(self, address: int) -> str:
        """`function+0x12` for a code address, or the bare address."""
        address &= ~1
        index = bisect.bisect_right(self._function_starts, address) - 1
        if index >= 0:
            symbol = self.functions[index]
            if address < symbol.address + max(symbol.size_bytes, 2):
                return f"{symbol.name}+{address - symbol.address:#x}"
        return f"{address:#010x}"

    def thumb_code(self) -> tuple[tuple[int, bytes], ...]:
        """(address, bytes) of every run of Thumb instructions, literal pools left out."""
        return self._code_ranges

    def _extent(self, region: Region) -> int:
        """Bytes from the first to the last programmed byte of a region."""
        inside = [segment for segment in self.segments if segment.address in region]
        if not inside:
            return 0
        start = min(segment.address for segment in inside)
        return max(segment.address + len(segment.data) for segment in inside) - start

    def memory_use(self, board: Board) -> MemoryUse:
        """Bytes by memory, for the regions of `board`."""
        external = board.external_flash()
        flash = board.region(board.code_region)
        distinct = {symbol.address: symbol for symbol in self.functions}.values()
        return MemoryUse(
            flash_bytes=self._extent(flash),
            external_flash_bytes=self._extent(external) if external else 0,
            code_bytes=sum(symbol.size_bytes for symbol in distinct),
            kernel_code_bytes=sum(s.size_bytes for s in distinct if s.name.startswith("vit_")),
            data_bytes=self.section_bytes(".data"),
            bss_bytes=self.section_bytes(".bss"),
            arena_bytes=self.section_bytes(".arena"),
            stack_reserved_bytes=self.section_bytes(".stack"),
        )


def double_precision_instructions(elf: Elf) -> list[int]:
    """Addresses of instructions that a single-precision FPU does not have.

    A single-precision FPU still loads, stores and moves D registers; what it lacks is arithmetic,
    comparison and conversion on doubles (Armv7-M ARM, section A2.5.1 and chapter A7.5): the CDP
    encodings of coprocessor 11, and VCVT.F64.F32, which is encoded in coprocessor 10.
    """
    found = []
    for start, data in elf.thumb_code():
        offset = 0
        while offset + 2 <= len(data):
            (first,) = struct.unpack_from("<H", data, offset)
            if (first >> 11) < 0b11101:
                offset += 2
                continue
            if offset + 4 > len(data):
                break
            (second,) = struct.unpack_from("<H", data, offset + 2)
            if _is_double_arithmetic(first, second):
                found.append(start + offset)
            offset += 4
    return found


def _is_double_arithmetic(first: int, second: int) -> bool:
    is_cdp = (first & 0xEF00) == 0xEE00 and not second & 0x10
    if not is_cdp:
        return False
    coprocessor = (second >> 8) & 0xF
    converts_to_double = (first & 0xFFBF) == 0xEEB7 and (second & 0x0FD0) == 0x0AC0
    return coprocessor == 11 or converts_to_double
