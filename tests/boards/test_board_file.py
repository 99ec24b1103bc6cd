# SPDX-License-Identifier: Apache-2.0
"""What a board's file may say, and what is refused, in one line."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest

from boards import get_board
from boards.board_file import parse_board
from boards.stm32 import QUAD_SPI_SEEK_CLOCKS
from tests.boards.board_files import (
    FLASH,
    HIGH,
    KIB,
    LOW,
    OUTSIDE,
    SAMPLES,
    SPLIT,
    board_of,
    regions_with,
)


def test_file_is_read_as_written():
    board = board_of()
    assert (board.name, board.title, board.manual) == ("split", "split", "split.json")
    assert board.core.compiler_flags() == (
        "-mcpu=cortex-m4",
        "-mthumb",
        "-mfpu=fpv4-sp-d16",
        "-mfloat-abi=hard",
    )
    assert board.clock.system_hz == 96_000_000
    assert [(r.base, r.size_bytes) for r in board.regions] == [
        (0x08000000, 524288),
        (0x10000000, 16384),
        (0x20000000, 65536),
    ]
    assert (board.code_region, board.arena_region) == ("FLASH", "HIGH")
    assert (board.data_region, board.stack_region) == ("LOW", "LOW")
    # 4 bytes a cycle without wait states; every third cycle with two; or what the file says.
    slow = board_of(**regions_with(0, wait_states=2)).region("FLASH")
    stated = board_of(**regions_with(0, read_megabytes_per_second=1.5)).region("FLASH")
    speeds = [r.read_megabytes_per_second for r in (board.region("HIGH"), slow, stated)]
    assert speeds == [384.0, 128.0, 1.5]


WRONG = [
    ({"cpu": "cortex-a53"}, 'cpu is "cortex-a53", expected one of cortex-m0plus, cortex-m3'),
    ({"cpu": "cortex-m0plus"}, 'fpu is "single", expected one of none'),
    ({"fpu": "double"}, 'fpu is "double", expected one of none, single'),
    ({"clock_hz": 96}, "clock_hz is 96, expected 100000 to 2000000000 (Hz, not MHz)"),
    ({"clock_hz": "fast"}, 'clock_hz is "fast", expected 100000 to 2000000000 (Hz'),
    ({"speed": 3}, "unknown key 'speed'; expected name, title, part"),
    ({"name": "a b"}, "name is \"a b\", expected letters, digits, '_' and '-'"),
    ({"title": 'say "hi"'}, "title is"),
    ({"data_cache_bytes": 4096}, "data_cache_bytes is 4096, expected 0: cortex-m4 has no cache"),
    ({"cpu": "cortex-m7", "data_cache_bytes": 5000}, "expected 0, or a power of two"),
    ({"cpu": "cortex-m33", "mpu": True}, "mpu is true, expected false on cortex-m33"),
    ({"stack_bytes": 1000}, "stack_bytes is 1000, expected a multiple of 32, 1024 or more"),
    ({"console": "uart"}, 'console is "uart", expected one of semihosting, functions'),
    ({"sources": ["uart.c"]}, 'sources has "uart.c", expected a C file in mine'),
    ({"openocd": 'x" && "y'}, "openocd is"),
    ({"regions": {}}, "regions is {}, expected a list"),
    ({"regions": ["FLASH"]}, "regions[0]: got a string, expected an object"),
    ({"regions": [LOW, HIGH]}, "no region of kind flash; code and weights need one"),
    ({"regions": [FLASH], "place": {}}, "no region of kind sram or tcm"),
    ({"regions": [FLASH, LOW, HIGH, LOW]}, "2 regions are called LOW"),
    ({"place": {"stack": "FLASH"}}, 'place: stack is "FLASH", expected one of LOW, HIGH'),
    (
        {"place": {"heap": "LOW"}},
        "place: unknown key 'heap'; expected code, arena, data, stack, small_arena",
    ),
    (regions_with(1, name="low"), 'name is "low", expected capital letters'),
    (regions_with(1, size=3), "regions[1]: unknown key 'size'; expected name, origin, length"),
    (regions_with(1, length=None), "'LOW': length is missing; expected a size"),
    (regions_with(1, length=10_000), "'LOW': length is 10000, expected a size, a multiple of 4096"),
    (regions_with(1, length=0), "'LOW': length is 0, expected a size"),
    (regions_with(1, length=-4096), "'LOW': length is -4096, expected a size"),
    (regions_with(1, origin="0x10000100"), 'origin is "0x10000100", expected an address, a mult'),
    (regions_with(1, kind="ram"), 'kind is "ram", expected one of flash, external, sram, tcm'),
    (regions_with(1, origin="0x40000000"), "0x40000000..0x40003fff reaches into peripherals"),
    (regions_with(1, origin="0xfffff000"), "reaches into peripherals or the core's own registers"),
    (regions_with(2, wait_states=-1), "wait_states is -1"),
    (regions_with(2, wait_states=1, read_megabytes_per_second=2), "nothing beside read_megabytes"),
    (regions_with(2, read_megabytes_per_second="fast"), "expected a positive number"),
    (
        regions_with(2, origin="0x10002000"),
        "regions LOW (0x10000000..0x10003fff) and HIGH (0x10002000..0x10011fff) overlap",
    ),
    (regions_with(0, length=16 * KIB), "region FLASH has 16384 bytes, expected 32768 or more"),
    (regions_with(1, length=4 * KIB) | {"stack_bytes": 8192}, "region LOW has 4096 bytes"),
    ({"regions": [FLASH, LOW, HIGH, OUTSIDE, OUTSIDE | {"name": "NOR2"}]}, "more than one region"),
    ({"baud": 0}, "baud is 0, expected 300 to 12000000 bits per second"),
    ({"baud": 10**30}, "baud is 1000000000000000000000000000000, expected 300 to"),
    ({"title": "x */ PROVIDE(evil = 1); /*"}, "title is"),
    ({"title": "@REGIONS@"}, 'title is "@REGIONS@", expected 1 to 64 of letters'),
    ({"title": "a\nb"}, 'title is "a\\nb", expected'),
    ({"title": "x" * 65}, "expected 1 to 64 of letters"),
    ({"title": "x" * 10**5}, "x..., expected 1 to 64 of letters"),
    ({"name": "a" * 65}, "expected letters, digits, '_' and '-'"),
    ({"name": "-x"}, 'name is "-x"'),
    ({"part": "${x}"}, "part is"),
    ({"manual": "a; b"}, "manual is"),
    ({"notes": ["a\nb"]}, "expected a list of sentences without line ends"),
    ({"openocd": "board/x.cfg -c exit"}, "openocd is"),
    ({"openocd": ["a.cfg", "-c"]}, "expected a file's name of letters"),
    ({"mbed_target": "K64F -DX=1"}, "mbed_target is"),
    ({"cube_ide_mcu": "STM32 || x"}, "cube_ide_mcu is"),
    ({"external_loader": "a b.stldr"}, "external_loader is"),
    ({"mpu": 7}, "mpu is 7, expected true, false, or how many regions it has, 8 or 16"),
    ({"stack_bytes": 1 << 40}, "stack_bytes is 1099511627776"),
    ({"clock": {}}, "clock is {}, expected nothing without family"),
    ({"family": "stm32f9"}, 'family is "stm32f9", expected one of stm32f4, stm32f7, stm32h7'),
    (regions_with(1, name="ORIGIN"), "expected another word: the linker knows ORIGIN"),
    (regions_with(1, name="A" * 33), "expected capital letters, digits and '_'"),
    (regions_with(1, length=1 << 70), "'LOW': length is 1180591620717411303424, expected a size"),
    (regions_with(1, origin="0x" + "1" * 99), "expected an address"),
    (regions_with(2, read_megabytes_per_second=10**400), "expected a positive number, 0.001 to"),
    (regions_with(2, read_megabytes_per_second=1e-9), "expected a positive number, 0.001 to"),
    (regions_with(2, wait_states=10**9), "wait_states is 1000000000, expected cycles"),
    (regions_with(2, usable="no"), 'usable is "no", expected true or false'),
    (regions_with(2, aliases=[-1]), "expected a list of addresses"),
    (regions_with(2, aliases=["0x20000100"]), "expected a list of addresses, each a multiple of"),
    (regions_with(2, aliases=["0x40000000"]), "0x40000000..0x4000ffff reaches into peripherals"),
    (regions_with(2, aliases=["0x10000000"]), "regions LOW (0x10000000..0x10003fff) and HIGH (0x1"),
    (regions_with(2, aliases=["0x20000000", "0x20008000"]), "regions HIGH (0x20000000..0x2000ffff"),
    (
        regions_with(2, usable=False) | {"place": {"arena": "HIGH"}},
        'arena is "HIGH", expected one of LOW',
    ),
    (regions_with(2, tightly_coupled_bytes=5000), "expected a multiple of 4096 bytes"),
    (regions_with(0, tightly_coupled_bytes=4096), "expected nothing in a region of kind flash"),
    (regions_with(2, seek_nanoseconds=-1), "seek_nanoseconds is -1, expected nanoseconds, 0 to"),
    (regions_with(1, wait_states=True), "wait_states is true"),
    ({"regions": [FLASH] * 65}, "regions is"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[m[:40] for _, m in WRONG])
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError) as error:
        board_of(**changes)
    assert message in str(error.value)
    assert str(error.value).startswith("mine/split.json: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_files_that_are_no_board(tmp_path):
    path = tmp_path / "board.json"
    for content, message in (
        (b"{", "not JSON: Expecting property name"),
        (b"[]", "got a list, expected an object"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cpu": NaN}', "not JSON: NaN is no number"),
        (b'{"cpu": -Infinity}', "not JSON: -Infinity is no number"),
        (b'{"clock_hz": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"cpu": 1, "cpu": 2}', 'key "cpu" appears 2 times'),
        (b" " * (1 << 20) + b"{}", "more than 1048576 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            get_board(str(path))
        with pytest.raises(ValueError) as error:
            get_board(str(path))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 1000
    with pytest.raises(FileNotFoundError):
        get_board(str(tmp_path / "missing.json"))
    with pytest.raises(ValueError, match=r"unknown board 'nothing'.*or a board's \.json file"):
        get_board("nothing")


@pytest.mark.parametrize("name", ["a\nb.json", "a\r#define X.json"])
def test_a_file_name_with_line_ends_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(SPLIT))
    with pytest.raises(ValueError, match="has control characters; rename the file") as error:
        get_board(str(path))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["a b.c", "a;b.c", "-x.c", "a$b.c", 'a"b.c', "ä.c", "aux.c"])
def test_sources_that_build_systems_would_split_are_refused(tmp_path, name):
    (tmp_path / name).write_text("int x;\n")
    path = tmp_path / "board.json"
    path.write_text(json.dumps({**SPLIT, "sources": [name]}))
    with pytest.raises(ValueError, match=r"rename the file|expected another name"):
        get_board(str(path))


STM32 = {
    "cpu": "cortex-m4",
    "fpu": "single",
    "family": "stm32f4",
    "clock": {
        "source_hz": 8_000_000,
        "pll_m": 8,
        "pll_n": 336,
        "pll_p": 2,
        "pll_q": 7,
        "apb1_divider": 4,
        "apb2_divider": 2,
        "flash_wait_states": 5,
    },
    "regions": [FLASH, LOW, HIGH, OUTSIDE],
    "console": {
        "name": "USART2",
        "base": "0x40004400",
        "clock_enable_offset": "0x40",
        "clock_enable_bit": 17,
        "bus": "apb1",
        "transmit": "PA2:7",
        "receive": "PA3:7",
    },
    "quad_spi": {
        "base": "0xA0001000",
        "clock_enable_offset": "0x38",
        "clock_enable_bit": 1,
        "prescaler": 3,
        "pins": ["PB2:9", "PB6:10", "PD11:9", "PD12:9", "PE2:9", "PD13:9"],
    },
}


def stm32_of(**changes):
    value = copy.deepcopy(STM32)
    for name, change in changes.items():
        value[name] = {**value[name], **change} if isinstance(change, dict) else change
    return parse_board(json.dumps(value), Path("mine/f4.json"))


def test_a_board_with_drivers_is_a_file_too():
    board = stm32_of()
    assert board.clock.system_hz == 168_000_000
    assert board.console.clock_hz == 42_000_000
    assert board.drivers == ("clock_f4_f7", "gpio", "quadspi", "usart_v1")
    assert [block.name for block in board.peripherals] == [
        "USART2", "PWR", "GPIOA", "GPIOB", "GPIOD", "GPIOE", "RCC", "FLASH", "QUADSPI"
    ]  # fmt: skip
    # 168 MHz / 4, 4 bits a clock; said once.
    assert board.external_flash().read_megabytes_per_second == 21.0
    assert 2**board.quad_spi.size_log2 == board.external_flash().size_bytes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clock": {"pll_m": 0}}, "clock: pll_m is 0, expected 1 to 63"),
        ({"clock": {"pll_n": 10**9}}, "clock: pll_n is 1000000000, expected 4 to 512"),
        ({"clock": {"source_hz": 8}}, "clock: source_hz is 8, expected 100000 to"),
        ({"clock": {"ahb": 1}}, "clock: unknown key 'ahb'"),
        ({"clock_hz": 168_000_000}, "clock_hz is 168000000, expected nothing beside clock"),
        ({"console": {"bus": "ahb"}}, 'console: bus is "ahb", expected one of apb1, apb2'),
        ({"console": {"transmit": "A2"}}, "console: transmit: pin 'A2': expected e.g. PA9:7"),
        ({"console": {"receive": "PA16:7"}}, "console: receive: pin PA16: expected PA0 .. PK15"),
        ({"console": {"name": "usart 2"}}, "console: name is"),
        ({"console": "semihosting"}, "console: got a string, expected an object"),
        ({"baud": 12_000_000}, "baud is 12000000, expected 641 to 2625000 at 42000000 Hz"),
        ({"quad_spi": {"prescaler": 256}}, "quad_spi: prescaler is 256, expected 0 to 255"),
        ({"quad_spi": {"pins": ["PB2:9"]}}, "expected 6 pins: CLK, NCS, IO0 to IO3"),
        ({"regions": [FLASH, HIGH]}, "needs a region of kind external of a power of two bytes"),
        (
            {"regions": [FLASH, HIGH, OUTSIDE | {"read_megabytes_per_second": 3}]},
            "expected nothing: the clock of quad_spi gives the speed",
        ),
    ],
)  # fmt: skip
def test_mistakes_with_drivers_are_named(changes, message):
    with pytest.raises(ValueError) as error:
        stm32_of(**changes)
    assert message in str(error.value)
    assert str(error.value).startswith("mine/f4.json: ")


def test_memory_that_no_cache_is_asked_for():
    f746 = {region.name: region for region in get_board("stm32f746g_disco").regions}
    sram = f746["SRAM"]
    assert sram.cached_base == sram.base + 65536  # 64 KB of DTCM, RM0385 section 2.3
    assert f746["ITCM"].cached_base == f746["ITCM"].end
    assert f746["FLASH"].cached_base == f746["FLASH"].base
    h743 = {region.name: region for region in get_board("nucleo_h743zi2").regions}
    assert h743["DTCM"].cached_base == h743["DTCM"].end
    cache = get_board("stm32f746g_disco").core.data_cache
    assert (cache.size_bytes, cache.line_bytes, cache.ways, cache.sets) == (4096, 32, 4, 32)
    for name in ("openmv_cam_m4", *map(str, SAMPLES)):
        assert get_board(name).core.data_cache is None


def test_a_seek_is_what_the_driver_does():
    """Chip select high, command, address and dummy cycles of quadspi.c."""
    driver = (Path(__file__).parents[2] / "firmware" / "src" / "stm32" / "quadspi.c").read_text()

    def constant(name):
        return int(re.search(rf"#define {name} (\d+)u", driver).group(1))

    assert "CCR_ADDRESS_24_BITS |" in driver
    assert "CCR_ADDRESS_ONE_LINE | CCR_INSTRUCTION_ONE_LINE | COMMAND_FAST_READ_QUAD" in driver
    clocks = constant("CHIP_SELECT_HIGH_CYCLES") + 8 + 24 + constant("N25Q_DUMMY_CYCLES")
    assert clocks == QUAD_SPI_SEEK_CLOCKS
    flash = get_board("stm32f746g_disco").external_flash()
    assert flash.seek_nanoseconds == pytest.approx(clocks / 72e6 * 1e9)
