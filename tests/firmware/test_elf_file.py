# SPDX-License-Identifier: Apache-2.0
"""The ELF reader against pyelftools, on a firmware-like image, and on damaged files."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from firmware.elf_file import SHT_NOBITS, SHT_REL, ElfError, ElfFile
from toolchain import cross_tool

_SOURCE = """
int table[64] = {1, 2, 3};
static char zeros[100];
int twice(int x) { return 2 * x + zeros[x]; }
int (*const chosen)(int) = twice;
int main(void) { return chosen(table[3]); }
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "a.c").write_text(_SOURCE, encoding="utf-8")
    command = [cross_tool("gcc").path, "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-g", "-emain"]
    command += ["-Wl,--emit-relocs", "-o", str(folder / "a.elf"), str(folder / "a.c")]
    subprocess.run(command, check=True)
    return folder / "a.elf"


def test_everything_is_what_pyelftools_reads(image: Path) -> None:
    ours = ElfFile(image.read_bytes())
    with image.open("rb") as stream:
        theirs = ELFFile(stream)
        assert ours.entry == theirs["e_entry"]
        assert [(s.address, s.data) for s in ours.segments] == [
            (s["p_paddr"], s.data()) for s in theirs.iter_segments("PT_LOAD") if s["p_filesz"]
        ]
        assert len(ours.sections) == theirs.num_sections() > 10
        for one, other in zip(ours.sections, theirs.iter_sections(), strict=True):
            assert (one.name, one.flags) == (other.name, other["sh_flags"])
            assert (one.address, one.size) == (other["sh_addr"], other["sh_size"])
            assert one.kind == SHT_NOBITS or one.data == other.data()
            if isinstance(other, RelocationSection):
                assert [(r.offset, r.kind, r.symbol) for r in ours.relocations(one)] == [
                    (r["r_offset"], r["r_info_type"], r["r_info_sym"])
                    for r in other.iter_relocations()
                ]
        table = theirs.get_section_by_name(".symtab")
        assert [(s.name, s.value, s.size) for s in ours.symbols] == [
            (s.name, s["st_value"], s["st_size"]) for s in table.iter_symbols()
        ]
    assert any(s.kind == SHT_REL for s in ours.sections)


def test_damaged_files_are_refused_or_read(image: Path) -> None:
    content = image.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(300):
        length = rng.choice([len(content), rng.randrange(52, len(content))])
        damaged = bytearray(content[:length])
        for _ in range(rng.randrange(4)):
            damaged[rng.randrange(52)] = rng.randrange(256)
        try:
            read = ElfFile(bytes(damaged))
            _ = read.segments, read.sections, read.symbols
        except ElfError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"\x7fELF\x02\x01" + bytes(60), b"text" * 30])
def test_other_files_are_named(content: bytes) -> None:
    with pytest.raises(ElfError, match="32-bit little-endian"):
        ElfFile(content)
