# SPDX-License-Identifier: Apache-2.0
"""A board as a JSON file: any Cortex-M by its memory regions, without a driver of the part.

The keys are those of `KEYS` and `REGION_KEYS`; docs/boards.md has a table of them and an example.
Such a board runs at the clock that reset (or the user's `board_init`) leaves; its console is
semihosting or a pair of functions of the user's (src/generic/board_hooks.h).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boards.board import (
    Board,
    Core,
    CubeIde,
    CycleCounter,
    FixedClock,
    FlashTool,
    PortableConsole,
    PortableConsoleKind,
    Region,
    RegionKind,
)

SUFFIX = ".json"
DOCUMENT = "docs/boards.md"
DEFAULT_STACK_BYTES = 4096
# The emulator's pages; parts whose memories are no multiple of it exist, and can leave the rest.
PAGE_BYTES = 4096
_SMALLEST_CODE_REGION_BYTES = 32 * 1024
_BUS_BYTES = 4
_MPU_REGIONS = 8  # What Armv7-M parts with an MPU have at least.
_PLACES = ("code", "arena", "data", "stack")


@dataclasses.dataclass(frozen=True)
class Fpu:
    """A floating-point unit: its word in the file, the compiler's -mfpu= value, its precision."""

    word: str
    option: str | None = None
    double_precision: bool = False


_NO_FPU = Fpu("none")


@dataclasses.dataclass(frozen=True)
class Cpu:
    """A core that the toolchain, the kernels and the emulator know.

    Attributes:
      name: the compiler's -mcpu= value.
      fpus: units it may have; the first is the default.
      dsp: it has SMLAD and friends.
      caches: it may have L1 caches.
      mpu: it may have the MPU of Armv7-M, which guards the stack.
      cycle_counter: what counts cycles.
    """

    name: str
    fpus: tuple[Fpu, ...] = (_NO_FPU,)
    dsp: bool = False
    caches: bool = False
    mpu: bool = False
    cycle_counter: CycleCounter = CycleCounter.DWT


CPUS = (
    Cpu("cortex-m0plus", cycle_counter=CycleCounter.SYSTICK),
    Cpu("cortex-m3", mpu=True),
    Cpu("cortex-m4", (_NO_FPU, Fpu("single", "fpv4-sp-d16")), dsp=True, mpu=True),
    Cpu(
        "cortex-m7",
        (_NO_FPU, Fpu("single", "fpv5-sp-d16"), Fpu("double", "fpv5-d16", True)),
        dsp=True,
        caches=True,
        mpu=True,
    ),
    # With the DSP extension; the stack limit register serves instead of the MPU.
    Cpu("cortex-m33", (_NO_FPU, Fpu("single", "fpv5-sp-d16")), dsp=True),
)
_KINDS = {
    "flash": RegionKind.FLASH,
    "external": RegionKind.EXTERNAL_FLASH,
    "sram": RegionKind.RAM,
    "tcm": RegionKind.TCM,
    "itcm": RegionKind.ITCM,
}
_CONSOLES = {
    "semihosting": PortableConsoleKind.SEMIHOSTING,
    "functions": PortableConsoleKind.FUNCTIONS,
}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of the file, what its value is, and its default in words; empty when it is needed."""

    name: str
    meaning: str
    default: str = ""


KEYS = (
    Key("name", "letters, digits, `_` and `-`", "the file's name"),
    Key("title", "what the banner prints", "`name`"),
    Key("cpu", ", ".join(f"`{cpu.name}`" for cpu in CPUS)),
    Key("fpu", "`none`, `single` (M4, M7, M33) or `double` (M7)", "`none`"),
    Key("clock_hz", "the CPU clock when the firmware starts; nothing sets it up"),
    Key("regions", "a list, see below"),
    Key(
        "place",
        "regions of `code`, `arena`, `data` and `stack`, by name",
        "code: the first flash region; the others: the largest `sram` or `tcm` region",
    ),
    Key("stack_bytes", "multiple of 32", f"{DEFAULT_STACK_BYTES}"),
    Key("console", "`semihosting` or `functions`", "`semihosting`"),
    Key("baud", "for your functions and for Mbed", "115200"),
    Key("instruction_cache_bytes", "M7: size of the cache that is switched on", "0"),
    Key("data_cache_bytes", "M7: size of the cache that is switched on", "0"),
    Key("mpu", "M3, M4, M7: the part has the optional MPU, which then guards the stack", "`false`"),
    Key("sources", "C files, relative to this one, with functions of `board_hooks.h`", "none"),
    Key("openocd", "OpenOCD configuration, e.g. `board/st_nucleo_f4.cfg`", "no flash target"),
    Key("cube_ide_mcu", "STM32CubeIDE's name of the part", "no `--format=stm32cubeide`"),
    Key("mbed_target", "Mbed's name of the board", "no `--format=mbed`"),
)
REGION_KEYS = (
    Key("name", "capital letters, digits and `_`"),
    Key("origin", "first address"),
    Key("length", f"bytes; origin and length are multiples of {PAGE_BYTES}"),
    Key("kind", "`flash`, `external` (memory-mapped flash), `sram`, `tcm` (not cached) or `itcm`"),
    Key("wait_states", "of a 32-bit read", "0"),
    Key(
        "read_megabytes_per_second",
        "sequential read speed, instead of `wait_states`",
        "4 bytes every `wait_states` + 1 cycles",
    ),
)


class _Reader:
    """One JSON object: takes its values one by one, each checked; refuses what nobody took."""

    def __init__(self, where: str, value: Any, keys: tuple[Key, ...]) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise ValueError(f"{where}: got {_kind(value)}, expected an object; see {DOCUMENT}")
        known = [key.name for key in keys]
        for name in value:
            if name not in known:
                raise ValueError(f"{where}: unknown key {name!r}; expected {', '.join(known)}")
        self._values = value

    def error(self, name: str, expected: str) -> ValueError:
        """The error for a bad or a missing value."""
        if name not in self._values:
            return ValueError(f"{self.where}: {name} is missing; expected {expected}")
        got = json.dumps(self._values[name])
        return ValueError(f"{self.where}: {name} is {got}, expected {expected}")

    def number(self, name: str, expected: str, default: int | None = None) -> int:
        """An integer, not negative, or a string such as "0x20000000"."""
        value = self._values.get(name, default)
        if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]+", value):
            value = int(value, 16)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(name, expected)
        return value

    def text(self, name: str, pattern: str, expected: str, default: str | None = None) -> str:
        """A string that the pattern matches as a whole."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.error(name, expected)
        return value

    def word(self, name: str, words: list[str], default: str | None = None) -> str:
        """One of several words."""
        value = self._values.get(name, default)
        if value not in words:
            raise self.error(name, f"one of {', '.join(words)}")
        return str(value)

    def items(self, name: str) -> list[Any]:
        """A list; empty when it is missing."""
        value = self._values.get(name, [])
        if not isinstance(value, list):
            raise self.error(name, "a list")
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Whatever is there."""
        return self._values.get(name, default)


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), "null")


def _core(reader: _Reader) -> Core:
    cpus = {cpu.name: cpu for cpu in CPUS}
    cpu = cpus[reader.word("cpu", list(cpus))]
    fpus = {fpu.word: fpu for fpu in cpu.fpus}
    fpu = fpus[reader.word("fpu", list(fpus), _NO_FPU.word)]
    caches = []
    for name in ("instruction_cache_bytes", "data_cache_bytes"):
        size = reader.number(name, "bytes", 0)
        if size and not cpu.caches:
            raise reader.error(name, f"0: {cpu.name} has no cache that the core switches on")
        if size not in (0, 4096, 8192, 16384, 32768, 65536):
            raise reader.error(name, "0, or a power of two from 4096 to 65536")
        caches.append(size)
    mpu = reader.get("mpu", False)
    if not isinstance(mpu, bool) or (mpu and not cpu.mpu):
        raise reader.error("mpu", "true or false" if cpu.mpu else f"false on {cpu.name}")
    instruction_cache_bytes, data_cache_bytes = caches
    return Core(
        name=cpu.name,
        fpu=fpu.option,
        dsp=cpu.dsp,
        double_precision=fpu.double_precision,
        instruction_cache_bytes=instruction_cache_bytes,
        data_cache_bytes=data_cache_bytes,
        mpu_regions=_MPU_REGIONS if mpu else 0,
        cycle_counter=cpu.cycle_counter,
    )


def _region(where: str, value: Any, clock_hz: int, source: str) -> Region:
    reader = _Reader(where, value, REGION_KEYS)
    name = reader.text("name", r"[A-Z][A-Z0-9_]*", "capital letters, digits and '_'")
    reader.where = f"{where} {name!r}"
    pages = f"a multiple of {PAGE_BYTES} bytes"
    base = reader.number("origin", f"an address, {pages}")
    size = reader.number("length", f"a size, {pages}")
    if base % PAGE_BYTES:
        raise reader.error("origin", f"an address, {pages} (leave the first bytes out)")
    if size % PAGE_BYTES or not size:
        raise reader.error("length", f"a size, {pages} (leave the rest out)")
    end = base + size
    if end > 0xE000_0000 or (base < 0x6000_0000 and end > 0x4000_0000):
        raise ValueError(
            f"{reader.where}: {base:#010x}..{end - 1:#010x} reaches into peripherals or the core's "
            "own registers; expected memory below 0x40000000, or from 0x60000000 to 0xdfffffff"
        )
    kind = _KINDS[reader.word("kind", list(_KINDS))]
    speed = reader.get("read_megabytes_per_second")
    if speed is not None:
        if not isinstance(speed, int | float) or isinstance(speed, bool) or speed <= 0:
            raise reader.error("read_megabytes_per_second", "a positive number")
        if reader.get("wait_states") is not None:
            raise reader.error("wait_states", "nothing beside read_megabytes_per_second")
        return Region(name, base, size, kind, float(speed), source)
    cycles = reader.number("wait_states", "cycles that a 32-bit read waits", 0) + 1
    return Region(name, base, size, kind, round(_BUS_BYTES * clock_hz / cycles / 1e6, 1), source)


def _check_overlaps(where: str, regions: tuple[Region, ...]) -> None:
    for left, right in itertools.pairwise(sorted(regions, key=lambda r: r.base)):
        if left.end > right.base:
            raise ValueError(
                f"{where}: regions {left.name} ({left.base:#010x}..{left.end - 1:#010x}) and "
                f"{right.name} ({right.base:#010x}..{right.end - 1:#010x}) overlap"
            )


def _regions(reader: _Reader, clock_hz: int) -> tuple[Region, ...]:
    source = reader.where
    regions = tuple(
        _region(f"{reader.where}: regions[{index}]", value, clock_hz, Path(source).name)
        for index, value in enumerate(reader.items("regions"))
    )
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{reader.where}: {names.count(name)} regions are called {name}")
    kinds = [region.kind for region in regions]
    if RegionKind.FLASH not in kinds:
        raise ValueError(f"{reader.where}: no region of kind flash; code and weights need one")
    if not {RegionKind.RAM, RegionKind.TCM} & set(kinds):
        raise ValueError(f"{reader.where}: no region of kind sram or tcm; arena and stack need one")
    if kinds.count(RegionKind.EXTERNAL_FLASH) > 1:
        raise ValueError(f"{reader.where}: more than one region of kind external; expected one")
    _check_overlaps(reader.where, regions)
    return regions


def _default_place(place: str, regions: tuple[Region, ...]) -> Region:
    if place == "code":
        return next(region for region in regions if region.kind is RegionKind.FLASH)
    data = [region for region in regions if region.kind in (RegionKind.RAM, RegionKind.TCM)]
    return max(data, key=lambda region: region.size_bytes)


def _places(reader: _Reader, regions: tuple[Region, ...]) -> Iterator[Region]:
    """Where code, arena, data and stack go."""
    where = f"{reader.where}: place"
    chosen = _Reader(where, reader.get("place", {}), tuple(Key(p, "a region") for p in _PLACES))
    by_name = {region.name: region for region in regions}
    for place in _PLACES:
        kinds = (RegionKind.FLASH,) if place == "code" else (RegionKind.RAM, RegionKind.TCM)
        fitting = [region.name for region in regions if region.kind in kinds]
        default = _default_place(place, regions).name
        yield by_name[chosen.word(place, fitting, default)]


def _sources(reader: _Reader, folder: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for value in reader.items("sources"):
        path = folder / str(value)
        if not isinstance(value, str) or path.suffix != ".c" or not path.is_file():
            raise ValueError(
                f"{reader.where}: sources has {json.dumps(value)}, expected a C file in {folder}"
            )
        if path.name in [other.name for other in found]:
            raise ValueError(f"{reader.where}: two sources are called {path.name}")
        found.append(path.absolute())
    return tuple(found)


def _option(reader: _Reader, name: str) -> str | None:
    """A string for another program's command line, or None."""
    if reader.get(name) is None:
        return None
    return reader.text(name, r"[A-Za-z0-9_./ -]+", "letters, digits, '_', '.', '/', '-' and spaces")


def parse_board(text: str, path: Path) -> Board:
    """The board that a file's text describes.

    Args:
      text: JSON.
      path: for messages, for the default name, and where `sources` are looked for.

    Raises:
      ValueError: what was got, what was expected, in which file and which key.
    """
    where = str(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error}; see {DOCUMENT}") from None
    reader = _Reader(where, value, KEYS)
    name = reader.text("name", r"[A-Za-z0-9_-]+", "letters, digits, '_' and '-'", path.stem)
    title = reader.text("title", r"[ !#-\[\]-~]+", 'printable ASCII without \\ and "', name)
    core = _core(reader)
    clock_hz = reader.number("clock_hz", "Hz")
    if not 100_000 <= clock_hz <= 2_000_000_000:
        raise reader.error("clock_hz", "100000 to 2000000000 (Hz, not MHz)")
    regions = _regions(reader, clock_hz)
    code, arena, data, stack = _places(reader, regions)
    stack_bytes = reader.number("stack_bytes", "bytes", DEFAULT_STACK_BYTES)
    if stack_bytes % 32 or stack_bytes < 1024:
        raise reader.error("stack_bytes", "a multiple of 32, 1024 or more")
    for region, least, use in (
        (code, _SMALLEST_CODE_REGION_BYTES, "the firmware's code"),
        (stack, stack_bytes, f"a stack of {stack_bytes} bytes"),
    ):
        if region.size_bytes < least:
            raise ValueError(
                f"{where}: region {region.name} has {region.size_bytes} bytes, expected {least} "
                f"or more for {use}"
            )
    console = _CONSOLES[reader.word("console", list(_CONSOLES), "semihosting")]
    part = _option(reader, "cube_ide_mcu")
    return Board(
        name=name,
        title=title,
        part=part or core.name,
        drivers=("board_hooks", console.value),
        core=core,
        clock=FixedClock(clock_hz),
        regions=regions,
        code_region=code.name,
        arena_region=arena.name,
        data_region=data.name,
        stack_region=stack.name,
        stack_bytes=stack_bytes,
        stm32=None,
        console=PortableConsole(console, reader.number("baud", "bits per second", 115200)),
        quad_spi=None,
        peripherals=(),
        flash_tool=FlashTool(_option(reader, "openocd"), stm32=part is not None),
        cube_ide=CubeIde(part, "genericBoard") if part else None,
        mbed_target=_option(reader, "mbed_target"),
        manual=path.name,
        sources=_sources(reader, path.parent),
    )


def load_board(path: Path) -> Board:
    """The board that a JSON file describes.

    Raises:
      ValueError: a mistake in the file.
      OSError: it can not be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text, expected JSON; see {DOCUMENT}") from None
    return parse_board(text, path)
