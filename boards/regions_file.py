# SPDX-License-Identifier: Apache-2.0
"""The regions of a board's file, and what is placed where."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from boards.keys import PAGE_BYTES, REGION_KEYS, Key
from boards.memory import Region, RegionKind, Use
from boards.reader import ObjectReader

SMALLEST_CODE_REGION_BYTES = 32 * 1024
_BUS_BYTES = 4
_LOWEST_MB_S, _HIGHEST_MB_S = 0.001, 100_000.0
_MOST_WAIT_STATES = 255
_MOST_SEEK_NS = 1e6
_ADDRESS = 0xFFFF_FFFF
PLACES = (Use.CODE, Use.ARENA, Use.DATA, Use.STACK)
SMALL_ARENA = "small_arena"
# Words that GNU ld does not take for a region's name (each tried).
LINKER_WORDS = frozenset((
    "ABSOLUTE", "ADDR", "ALIGN", "ASSERT", "AT", "BLOCK", "CONSTANT", "DEFINED", "ENTRY",
    "EXTERN", "FLOAT", "GROUP", "HIDDEN", "HLL", "INCLUDE", "INHIBIT_COMMON_ALLOCATION",
    "INPUT", "LENGTH", "LOADADDR", "MAP", "MAX", "MEMORY", "MIN", "NEXT", "NOCROSSREFS",
    "NOFLOAT", "ORIGIN", "OUTPUT", "OVERLAY", "PHDRS", "PROVIDE", "REGION_ALIAS", "SEARCH_DIR",
    "SECTIONS", "SIZEOF", "STARTUP", "SUBALIGN", "SYSLIB", "TARGET", "VERSION",
))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a region is read: in sequence in 10^6 bytes/s, and what a seek takes on top."""

    megabytes_per_second: float
    seek_nanoseconds: float = 0.0


def _name(reader: ObjectReader) -> str:
    expected = "capital letters, digits and '_'"
    name = reader.matched("name", r"[A-Z][A-Z0-9_]{0,31}", expected)
    if name in LINKER_WORDS:
        raise reader.error("name", f"another word: the linker knows {name}")
    return name


def _range(reader: ObjectReader) -> tuple[int, int]:
    """(base, bytes)."""
    pages = f"a multiple of {PAGE_BYTES} bytes"
    base = reader.number("origin", f"an address, {pages}", high=_ADDRESS)
    size = reader.number("length", f"a size, {pages}", low=1, high=_ADDRESS)
    if base % PAGE_BYTES:
        raise reader.error("origin", f"an address, {pages} (leave the first bytes out)")
    if size % PAGE_BYTES:
        raise reader.error("length", f"a size, {pages} (leave the rest out)")
    _expect_memory(reader.where, base, size)
    return base, size


def _expect_memory(where: str, base: int, size: int) -> None:
    """Raises ValueError for addresses of something else."""
    end = base + size
    if end > 0xE000_0000 or (base < 0x6000_0000 and end > 0x4000_0000):
        raise ValueError(
            f"{where}: {base:#010x}..{end - 1:#010x} reaches into peripherals or the core's "
            "own registers; expected memory below 0x40000000, or from 0x60000000 to 0xdfffffff"
        )


def _aliases(reader: ObjectReader, size: int) -> tuple[int, ...]:
    """Other bases of a region of so many bytes."""
    expected = f"a list of addresses, each a multiple of {PAGE_BYTES} bytes"
    found = reader.numbers("aliases", expected, high=_ADDRESS)
    if any(base % PAGE_BYTES for base in found):
        raise reader.error("aliases", expected)
    for base in found:
        _expect_memory(reader.where, base, size)
    return found


def _speed(reader: ObjectReader, clock_hz: int, known: Speed | None) -> Speed:
    """`known` is what the board's QSPI clock gives."""
    stated, seek = "read_megabytes_per_second", "seek_nanoseconds"
    if known is not None:
        for name in (stated, "wait_states", seek):
            if name in reader:
                raise reader.error(name, "nothing: the clock of quad_spi gives the speed")
        return known
    expected = f"nanoseconds, 0 to {_MOST_SEEK_NS:g}"
    nanoseconds = 0.0
    if seek in reader:
        nanoseconds = reader.real(seek, expected, low=0.0, high=_MOST_SEEK_NS)
    if stated in reader:
        if "wait_states" in reader:
            raise reader.error("wait_states", f"nothing beside {stated}")
        expected = f"a positive number, {_LOWEST_MB_S:g} to {_HIGHEST_MB_S:g}"
        speed = reader.real(stated, expected, low=_LOWEST_MB_S, high=_HIGHEST_MB_S)
        return Speed(speed, nanoseconds)
    expected = f"cycles that a 32-bit read waits, 0 to {_MOST_WAIT_STATES}"
    cycles = reader.number("wait_states", expected, 0, high=_MOST_WAIT_STATES) + 1
    return Speed(round(_BUS_BYTES * clock_hz / cycles / 1e6, 1), nanoseconds)


def _tightly_coupled(reader: ObjectReader, kind: RegionKind, size_bytes: int) -> int:
    """Bytes at the start of a region that no cache is asked for."""
    name = "tightly_coupled_bytes"
    if kind in (RegionKind.TCM, RegionKind.ITCM):
        if name in reader:
            raise reader.error(name, f"nothing: all of a region of kind {kind.value} is")
        return size_bytes
    if kind is not RegionKind.RAM:
        if name in reader:
            raise reader.error(name, f"nothing in a region of kind {kind.value}")
        return 0
    found = reader.number(name, f"bytes, 0 to {size_bytes}", 0, high=size_bytes)
    if found % PAGE_BYTES:
        raise reader.error(name, f"a multiple of {PAGE_BYTES} bytes")
    return found


def _region(
    where: str, value: Any, clock_hz: int, external_speed: Speed | None, source: str
) -> Region:
    reader = ObjectReader(where, value, REGION_KEYS)
    name = _name(reader)
    reader.where = f"{where} {name!r}"
    base, size = _range(reader)
    kind = RegionKind(reader.word("kind", [kind.value for kind in RegionKind]))
    known = external_speed if kind is RegionKind.EXTERNAL_FLASH else None
    speed = _speed(reader, clock_hz, known)
    return Region(
        name=name,
        base=base,
        size_bytes=size,
        kind=kind,
        read_megabytes_per_second=speed.megabytes_per_second,
        source=reader.sentence("source", source),
        aliases=_aliases(reader, size),
        usable=reader.flag("usable", default=True),
        tightly_coupled_bytes=_tightly_coupled(reader, kind, size),
        seek_nanoseconds=speed.seek_nanoseconds,
    )


def read_regions(
    reader: ObjectReader, clock_hz: int, external_speed: Speed | None, source: str
) -> tuple[Region, ...]:
    """All regions of a board's file; what they must have together is checked."""
    regions = tuple(
        _region(f"{reader.where}: regions[{index}]", value, clock_hz, external_speed, source)
        for index, value in enumerate(reader.items("regions"))
    )
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{reader.where}: {names.count(name)} regions are called {name}")
    if not any(region.can_hold(Use.CODE) for region in regions):
        raise ValueError(f"{reader.where}: no region of kind flash; code and weights need one")
    if not any(region.can_hold(Use.ARENA) for region in regions):
        raise ValueError(f"{reader.where}: no region of kind sram or tcm; arena and stack need one")
    if [region.kind for region in regions].count(RegionKind.EXTERNAL_FLASH) > 1:
        raise ValueError(f"{reader.where}: more than one region of kind external; expected one")
    _check_overlaps(reader.where, regions)
    return regions


def _check_overlaps(where: str, regions: tuple[Region, ...]) -> None:
    ranges = sorted(
        (base, base + region.size_bytes, region.name)
        for region in regions
        for base in (region.base, *region.aliases)
    )
    for (base, end, name), (other, other_end, other_name) in itertools.pairwise(ranges):
        if end > other:
            raise ValueError(
                f"{where}: regions {name} ({base:#010x}..{end - 1:#010x}) and "
                f"{other_name} ({other:#010x}..{other_end - 1:#010x}) overlap"
            )


def _places(reader: ObjectReader) -> ObjectReader:
    keys = tuple(Key(name, "a region") for name in (*(use.value for use in PLACES), SMALL_ARENA))
    return ObjectReader(f"{reader.where}: place", reader.get("place", {}), keys)


def read_small_arena(reader: ObjectReader, regions: tuple[Region, ...]) -> Region | None:
    """Where the arena goes instead if that region holds it; None for nowhere."""
    fitting = {region.name: region for region in regions if region.can_hold(Use.ARENA)}
    chosen = _places(reader)
    if chosen.get(SMALL_ARENA, None) is None:
        return None
    return fitting[chosen.word(SMALL_ARENA, list(fitting))]


def read_places(reader: ObjectReader, regions: tuple[Region, ...]) -> dict[Use, Region]:
    """Where code, arena, data and stack go."""
    chosen = _places(reader)
    places = {}
    for use in PLACES:
        fitting = {region.name: region for region in regions if region.can_hold(use)}
        first = next(iter(fitting.values()))
        largest = max(fitting.values(), key=lambda region: region.size_bytes)
        default = first if use is Use.CODE else largest
        places[use] = fitting[chosen.word(use.value, list(fitting), default.name)]
    return places
