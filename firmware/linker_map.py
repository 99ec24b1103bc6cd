# SPDX-License-Identifier: Apache-2.0
"""What a linker's map, and the objects that it names, say of sections."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from firmware.elf_file import STT_OBJECT, ElfFile
from toolchain import cross_tool, run_tool

_BEGIN = "Linker script and memory map"
_SECTION = re.compile(
    # A long name stands on a line by itself.
    r"^ (\.(?:text|rodata)[\w.$]*)\s+0x[0-9a-f]+ +0x([0-9a-f]+) (\S+)$",
    re.MULTILINE,
)
_MEMBER = re.compile(r"^(\S+): +file format", re.MULTILINE)
_HEADER = re.compile(r"^ +\d+ (\.(?:text|rodata)[\w.$]*) +[0-9a-f]{8} .* 2\*\*(\d+)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Kept:
    """An input section of code or constants that the linker kept.

    Attributes:
      origin: the object, or the archive with the member: `obj/kernels/vit_mlp.c.o`,
        `/usr/lib/libc.a(lib_a-memcpy.o)`.
    """

    section: str
    origin: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Of the object and the section, wherever the object lies."""
        return f"{self.origin.rsplit('/', 1)[-1]}:{self.section}"

    @property
    def is_code(self) -> bool:
        return self.section.startswith(".text")

    @property
    def archive(self) -> str:
        """Path of the archive; empty for an object."""
        return self.origin.rpartition("(")[0]

    @property
    def file(self) -> str:
        """Name of the object, of an archive's member too."""
        return re.split(r"[/(]", self.origin.rstrip(")"))[-1]


def kept_sections(map_text: str) -> Iterator[Kept]:
    """All that is not empty, in the order of addresses."""
    for section, size, origin in _SECTION.findall(map_text[map_text.index(_BEGIN) :]):
        if int(size, 16):
            yield Kept(section, origin, int(size, 16))


def alignments(files: Iterable[Path]) -> dict[tuple[str, str], int]:
    """Of the sections of objects and archives, by (object or member, section)."""
    found: dict[tuple[str, str], int] = {}
    tool = cross_tool("objdump").path
    for path in files:
        shown = run_tool([tool, "-h", str(path)], f"reading {path.name}")
        pieces = _MEMBER.split(shown)[1:]
        for member, headers in zip(pieces[::2], pieces[1::2], strict=True):
            for section, power in _HEADER.findall(headers):
                found[member.rsplit("/", 1)[-1], section] = 1 << int(power)
    return found


def object_sizes(path: Path) -> dict[str, int]:
    """Bytes of each object that a file defines, by its symbol."""
    symbols = ElfFile(path.read_bytes()).symbols
    return {symbol.name: symbol.size for symbol in symbols if symbol.kind == STT_OBJECT}


def text_bytes(path: Path) -> int:
    """Code of an object file, its sections in whole words."""
    sections = ElfFile(path.read_bytes()).sections
    return sum(-(-s.size // 4) * 4 for s in sections if s.name.startswith(".text"))
