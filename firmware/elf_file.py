# SPDX-License-Identifier: Apache-2.0
"""Reads a 32-bit little-endian ELF file: segments, sections, symbols, relocations.

Layout and numbers: "Tool Interface Standard ELF Specification", version 1.2.
"""

from __future__ import annotations

import dataclasses
import functools
import struct

SHF_ALLOC, SHF_EXECINSTR = 2, 4
SHT_PROGBITS, SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 1, 2, 4, 8, 9
STT_OBJECT, STT_FUNC, STT_SECTION = 1, 2, 3
SHN_UNDEF = 0
PT_LOAD = 1
ET_EXEC, EM_ARM = 2, 40

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SEGMENT = struct.Struct("<8I")
_SYMBOL = struct.Struct("<IIIBBH")
_IDENTIFICATION = b"\x7fELF\x01\x01"  # magic, 32 bits, little-endian


class ElfError(ValueError):
    """Bytes are no ELF file of 32 bits, little-endian; the message says what is wrong."""


@dataclasses.dataclass(frozen=True)
class ElfSection:
    """A section; `data` is empty for one without bytes in the file (.bss)."""

    name: str
    kind: int
    flags: int
    address: int
    size: int
    link: int
    info: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class LoadedSegment:
    """Bytes of the file and the physical address that they are loaded to."""

    address: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class ElfSymbol:
    """An entry of a symbol table; `section` is the number of the section that defines it."""

    name: str
    value: int
    size: int
    kind: int
    section: int


@dataclasses.dataclass(frozen=True)
class Relocation:
    """Where a value is put in, how, and the number of the symbol whose value it is."""

    offset: int
    kind: int
    symbol: int


class ElfFile:
    """The parts of an ELF file.

    Attributes:
      type, machine, entry: of its header.

    Raises:
      ElfError: see there; also for tables that lead out of the file.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        if not content.startswith(_IDENTIFICATION):
            raise ElfError("got other bytes than those of a 32-bit little-endian ELF file")
        header = self._unpacked(_HEADER, 0)
        self.type, self.machine, _, self.entry = header[1:5]
        self._segments_at, self._sections_at = header[5:7]
        self._segment_size, self._segment_count = header[9:11]
        self._section_size, self._section_count, self._names = header[11:14]

    def _unpacked(self, form: struct.Struct, at: int) -> tuple[int, ...]:
        try:
            return form.unpack_from(self._content, at)
        except struct.error:
            raise ElfError(f"got a table at byte {at} of {len(self._content)}") from None

    def _bytes(self, at: int, size: int) -> bytes:
        found = self._content[at : at + size]
        if len(found) != size:
            raise ElfError(f"got data at bytes {at}..{at + size} of {len(self._content)}")
        return found

    @functools.cached_property
    def sections(self) -> tuple[ElfSection, ...]:
        """In the order of the file, so that numbers of sections are indices."""
        places = (self._sections_at + i * self._section_size for i in range(self._section_count))
        headers = [self._unpacked(_SECTION, at) for at in places]
        if not headers:
            return ()
        if self._names >= len(headers):
            raise ElfError(f"got section {self._names} with the names of {len(headers)} sections")
        names = self._bytes(headers[self._names][4], headers[self._names][5])
        return tuple(
            ElfSection(
                _text(names, name), kind, flags, address, size, link, info,
                b"" if kind == SHT_NOBITS else self._bytes(offset, size),
            )
            for name, kind, flags, address, offset, size, link, info, _, _ in headers
        )  # fmt: skip

    @functools.cached_property
    def segments(self) -> tuple[LoadedSegment, ...]:
        """Those that are loaded and have bytes in the file."""
        places = (self._segments_at + i * self._segment_size for i in range(self._segment_count))
        return tuple(
            LoadedSegment(physical, self._bytes(offset, size))
            for kind, offset, _, physical, size, *_ in (
                self._unpacked(_SEGMENT, at) for at in places
            )
            if kind == PT_LOAD and size
        )

    @functools.cached_property
    def symbols(self) -> tuple[ElfSymbol, ...]:
        """Of the symbol table; none where the file was stripped."""
        table = next((s for s in self.sections if s.kind == SHT_SYMTAB), None)
        if table is None:
            return ()
        names = self.section(table.link).data
        whole = len(table.data) // _SYMBOL.size * _SYMBOL.size
        return tuple(
            ElfSymbol(_text(names, name), value, size, info & 15, section)
            for name, value, size, info, _, section in _SYMBOL.iter_unpack(table.data[:whole])
        )

    def section(self, number: int) -> ElfSection:
        """A section by its number."""
        if number >= len(self.sections):
            raise ElfError(f"got section {number} of {len(self.sections)}")
        return self.sections[number]

    def relocations(self, section: ElfSection) -> tuple[Relocation, ...]:
        """What a section of relocations says (SHT_REL or SHT_RELA)."""
        size = 8 if section.kind == SHT_REL else 12
        starts = range(0, len(section.data) // size * size, size)
        pairs = (struct.unpack_from("<II", section.data, at) for at in starts)
        return tuple(Relocation(offset, info & 0xFF, info >> 8) for offset, info in pairs)


def _text(table: bytes, at: int) -> str:
    """A string that ends with 0."""
    return table[at : table.find(b"\0", at)].decode("utf-8", "replace")
