# SPDX-License-Identifier: Apache-2.0
"""A board as a JSON file; the built-in boards are such files too.

The keys are those of boards/keys.py; docs/boards.md has a table of them and examples. Without
`family` a board runs at the clock that reset (or the user's `board_init`) leaves, and its console
is semihosting or a pair of functions of the user's (firmware/src/generic/board_hooks.h).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from boards import stm32_file
from boards.board import Board, CubeIde, FlashTool
from boards.clock import Clock, FixedClock
from boards.console import (
    DEFAULT_BAUD,
    HIGHEST_BAUD,
    LOWEST_BAUD,
    Console,
    PortableConsole,
    PortableConsoleKind,
)
from boards.core import CACHE_SIZES, CPU_OF, MPU_REGIONS, NO_FPU, Core, Cpu
from boards.keys import DEFAULT_STACK_BYTES, KEYS
from boards.memory import Region, Use
from boards.reader import DOCUMENT, MOST_BYTES, ObjectReader, is_device, parse_json
from boards.regions_file import (
    SMALLEST_CODE_REGION_BYTES,
    read_places,
    read_regions,
    read_small_arena,
)
from boards.stm32 import Stm32

SUFFIX = ".json"
_LOWEST_STACK_BYTES = 1024
_HIGHEST_STACK_BYTES = 1 << 24
_WORD = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_FILE_NAME = r"(?!-)[A-Za-z0-9_./+-]{1,128}"
_FILE_WORDS = "a file's name of letters, digits and _ . / + -"


def _core(reader: ObjectReader) -> Core:
    cpu = CPU_OF[reader.word("cpu", list(CPU_OF))]
    fpus = {fpu.word: fpu for fpu in cpu.fpus}
    fpu = fpus[reader.word("fpu", list(fpus), NO_FPU.word)]
    caches = []
    for name in ("instruction_cache_bytes", "data_cache_bytes"):
        expected = f"0, or a power of two from {CACHE_SIZES[1]} to {CACHE_SIZES[-1]}"
        size = reader.number(name, expected, 0, high=CACHE_SIZES[-1])
        if size and not cpu.caches:
            raise reader.error(name, f"0: {cpu.name} has no cache that the core switches on")
        if size not in CACHE_SIZES:
            raise reader.error(name, expected)
        caches.append(size)
    return Core(cpu, fpu, caches[0], caches[1], _mpu_regions(reader, cpu))


def _mpu_regions(reader: ObjectReader, cpu: Cpu) -> int:
    value = reader.get("mpu", False)
    if value is False:
        return 0
    if not cpu.mpu:
        raise reader.error("mpu", f"false on {cpu.name}")
    if value is True:
        return MPU_REGIONS[0]
    if value not in MPU_REGIONS:
        raise reader.error("mpu", "true, false, or how many regions it has, 8 or 16")
    return int(value)


def _clock(reader: ObjectReader, family: Stm32 | None) -> Clock | FixedClock:
    if family is not None:
        return stm32_file.clock(reader)
    expected = f"{stm32_file.LOWEST_HZ} to {stm32_file.HIGHEST_HZ} (Hz, not MHz)"
    low, high = stm32_file.LOWEST_HZ, stm32_file.HIGHEST_HZ
    return FixedClock(reader.number("clock_hz", expected, low=low, high=high))


def _console(reader: ObjectReader, clock: Clock | FixedClock) -> Console | PortableConsole:
    expected = f"{LOWEST_BAUD} to {HIGHEST_BAUD} bits per second"
    baud = reader.number("baud", expected, DEFAULT_BAUD, low=LOWEST_BAUD, high=HIGHEST_BAUD)
    if isinstance(clock, Clock):
        return stm32_file.console(reader, clock, baud)
    kinds = [kind.value for kind in PortableConsoleKind]
    word = reader.word("console", kinds, PortableConsoleKind.SEMIHOSTING.value)
    return PortableConsole(PortableConsoleKind(word), baud)


def _stack_bytes(reader: ObjectReader) -> int:
    expected = f"a multiple of 32, {_LOWEST_STACK_BYTES} or more"
    size = reader.number(
        "stack_bytes",
        expected,
        DEFAULT_STACK_BYTES,
        low=_LOWEST_STACK_BYTES,
        high=_HIGHEST_STACK_BYTES,
    )
    if size % 32:
        raise reader.error("stack_bytes", expected)
    return size


def _sources(reader: ObjectReader, folder: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for value in reader.items("sources"):
        path = folder / str(value)
        if not isinstance(value, str) or path.suffix != ".c" or not path.is_file():
            raise ValueError(
                f"{reader.where}: sources has {json.dumps(value)}, expected a C file in {folder}"
            )
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}", path.name):
            raise ValueError(
                f"{reader.where}: sources has {json.dumps(value)}, expected a name of letters, "
                "digits and _ . + - (build systems split others); rename the file"
            )
        if is_device(path.name):
            raise ValueError(
                f"{reader.where}: sources has {json.dumps(value)}, expected another name: Windows "
                "takes this one for a device"
            )
        if path.name in [other.name for other in found]:
            raise ValueError(f"{reader.where}: two sources are called {path.name}")
        found.append(path.absolute())
    return tuple(found)


def _flash_tool(reader: ObjectReader, *, stm32: bool) -> FlashTool:
    openocd: tuple[str, ...] = ()
    if isinstance(reader.get("openocd"), list):
        openocd = reader.strings("openocd", _FILE_NAME, f"{_FILE_WORDS}, or a list of them")
    elif reader.get("openocd") is not None:
        openocd = (reader.matched("openocd", _FILE_NAME, f"{_FILE_WORDS}, or a list of them"),)
    return FlashTool(openocd, reader.optional("external_loader", _FILE_NAME, _FILE_WORDS), stm32)


def _cube_ide(reader: ObjectReader) -> CubeIde | None:
    expected = "letters, digits, '_' and '-'"
    mcu = reader.optional("cube_ide_mcu", _WORD, expected)
    board = reader.matched("cube_ide_board", _WORD, expected, "genericBoard")
    return CubeIde(mcu, board) if mcu else None


def _where(path: Path) -> str:
    """The file for messages, and for comments of what is generated."""
    if not str(path).isprintable():
        raise ValueError(f"{str(path)!r}: the name has control characters; rename the file")
    return str(path)


def _expect_room(where: str, places: Mapping[Use, Region], stack_bytes: int) -> None:
    """Raises ValueError unless code and stack fit their regions."""
    for use, least, what in (
        (Use.CODE, SMALLEST_CODE_REGION_BYTES, "the firmware's code"),
        (Use.STACK, stack_bytes, f"a stack of {stack_bytes} bytes"),
    ):
        if places[use].size_bytes < least:
            raise ValueError(
                f"{where}: region {places[use].name} has {places[use].size_bytes} bytes, expected "
                f"{least} or more for {what}"
            )


def parse_board(text: str, path: Path) -> Board:
    """The board that a file's text describes.

    Args:
      text: JSON.
      path: for messages, for the default name, and where `sources` are looked for.

    Raises:
      ValueError: what was got, what was expected, in which file and which key; one line.
    """
    where = _where(path)
    reader = ObjectReader(where, parse_json(where, text), KEYS)
    name = reader.matched("name", _WORD, "letters, digits, '_' and '-'", path.stem)
    core = _core(reader)
    family = stm32_file.family(reader)
    clock = _clock(reader, family)
    speed = stm32_file.external_speed(reader, clock) if isinstance(clock, Clock) else None
    regions = read_regions(reader, clock.system_hz, speed, path.name)
    places, small = read_places(reader, regions), read_small_arena(reader, regions)
    stack_bytes = _stack_bytes(reader)
    _expect_room(where, places, stack_bytes)
    cube_ide = _cube_ide(reader)
    return Board(
        name=name,
        title=reader.text("title", name),
        part=reader.text("part", cube_ide.mcu if cube_ide else core.name),
        core=core,
        clock=clock,
        regions=regions,
        code_region=places[Use.CODE].name,
        arena_region=places[Use.ARENA].name,
        small_arena_region=small.name if small is not None else None,
        data_region=places[Use.DATA].name,
        stack_region=places[Use.STACK].name,
        stack_bytes=stack_bytes,
        stm32=family,
        console=_console(reader, clock),
        quad_spi=stm32_file.quad_spi(reader, {r.kind: r.size_bytes for r in regions}),
        flash_tool=_flash_tool(reader, stm32=family is not None or cube_ide is not None),
        cube_ide=cube_ide,
        mbed_target=reader.optional("mbed_target", r"[A-Za-z0-9_]{1,64}", "letters, digits, '_'"),
        manual=reader.text("manual", path.name),
        notes=reader.sentences("notes"),
        sources=_sources(reader, path.parent),
        qemu=reader.optional("qemu", r"[a-z0-9][a-z0-9-]{0,31}", "small letters, digits, '-'"),
    )


def load_board(path: Path) -> Board:
    """The board that a JSON file describes.

    Raises:
      ValueError: a mistake in the file.
      OSError: it can not be read.
    """
    where = _where(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{where}: a folder, pipe or device, expected a file; see {DOCUMENT}")
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{where}: more than {MOST_BYTES} bytes, expected a board; see {DOCUMENT}")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{where}: not UTF-8 text, expected JSON; see {DOCUMENT}") from None
    return parse_board(text, path)
