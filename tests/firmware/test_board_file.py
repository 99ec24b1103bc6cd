# SPDX-License-Identifier: Apache-2.0
"""Boards given by their regions: what a file may say, and that the firmware runs on them."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from boards import RegionKind, get_board
from boards.board_file import CPUS, KEYS, parse_board
from converter.runtimes.host import HostModel
from firmware.build import build
from firmware.connection import Connection
from firmware.emulator.emulator import EmulatedSerial, Emulator
from firmware.emulator.faults import GuestFault
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.model import build_model
from firmware.project import make_project
from firmware.render import board_header, linker_script
from firmware.transports import SerialTransport
from tests.converter.compile import fused_models
from tests.firmware import cproject_build, fake_model
from tests.firmware.fake_model import FakeModel
from tests.firmware.test_export import readme_commands, run_commands

SAMPLES = sorted((Path(get_board.__code__.co_filename).parent / "samples").glob("*.json"))
KIB = 1024
FLASH = {"name": "FLASH", "origin": "0x08000000", "length": 512 * KIB, "kind": "flash"}
LOW = {"name": "LOW", "origin": "0x10000000", "length": 16 * KIB, "kind": "tcm"}
HIGH = {"name": "HIGH", "origin": "0x20000000", "length": 64 * KIB, "kind": "sram"}
OUTSIDE = {"name": "NOR", "origin": "0x60000000", "length": 1024 * KIB, "kind": "external"}
# 64 KB and, apart from them, 16 KB for stack and data.
SPLIT = {
    "cpu": "cortex-m4",
    "fpu": "single",
    "clock_hz": 96_000_000,
    "regions": [FLASH, LOW, HIGH],
    "place": {"stack": "LOW", "data": "LOW"},
}


def board_of(**changes):
    return parse_board(json.dumps({**copy.deepcopy(SPLIT), **changes}), Path("mine/split.json"))


def regions_with(index, **changes):
    regions = copy.deepcopy(SPLIT["regions"])
    regions[index].update(changes)
    return {"regions": [{k: v for k, v in r.items() if v is not None} for r in regions]}


def build_fake(board, folder, model=FakeModel()):  # noqa: B008
    generated, kernels = fake_model.write(folder / "generated", model)
    elf = folder / "firmware.elf"
    build(make_project(board, generated, kernels), elf)
    return elf


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
    script = linker_script(board)
    assert "LOW (rw) : ORIGIN = 0x10000000, LENGTH = 16384" in script
    assert "#define BOARD_CLOCK_SYSTEM_HZ 96000000u" in board_header(board)


WRONG = [
    ({"cpu": "cortex-a53"}, 'cpu is "cortex-a53", expected one of cortex-m0plus, cortex-m3'),
    ({"cpu": "cortex-m0plus"}, 'fpu is "single", expected one of none'),
    ({"fpu": "double"}, 'fpu is "double", expected one of none, single'),
    ({"clock_hz": 96}, "clock_hz is 96, expected 100000 to 2000000000 (Hz, not MHz)"),
    ({"clock_hz": "fast"}, 'clock_hz is "fast", expected Hz'),
    ({"speed": 3}, "unknown key 'speed'; expected name, title, cpu"),
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
    ({"place": {"heap": "LOW"}}, "place: unknown key 'heap'; expected code, arena, data, stack"),
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
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[m[:40] for _, m in WRONG])
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError) as error:
        board_of(**changes)
    assert message in str(error.value)
    assert str(error.value).startswith("mine/split.json: ")
    assert "\n" not in str(error.value)


def test_files_that_are_no_board(tmp_path):
    path = tmp_path / "board.json"
    for content, message in (
        (b"{", "not JSON: Expecting property name"),
        (b"[]", "got a list, expected an object"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"", "not JSON"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            get_board(str(path))
    with pytest.raises(FileNotFoundError):
        get_board(str(tmp_path / "missing.json"))
    with pytest.raises(ValueError, match=r"unknown board 'nothing'.*or a board's \.json file"):
        get_board("nothing")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_run_a_network_with_the_logits_of_the_host(tmp_path, path):
    """A Cortex-M4F with semihosting, a Cortex-M33 with functions of the user's."""
    board = get_board(str(path))
    ops = fused_models.vit_ops(bits=16, rank=4)
    model, layout = fused_models.model_bytes(ops), fused_models.stacked_layout(ops)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, layout=layout)
    strict = board.core.name != "cortex-m33"
    emulator = Emulator(board, elf, strict=strict)
    if not strict:
        with pytest.raises(FirmwareError, match="strict alignment checks are not available"):
            Emulator(board, elf, strict=True)
    assert emulator.banner.strip().startswith(f"{board.title}, 64 MHz: image ")
    shape = (3, *emulator.model.image_shape)
    images = np.random.default_rng(3).integers(-128, 128, shape, np.int8)
    expected = HostModel(model, layout).run(images)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got, axis=0)) > 1
    emulator.close_window()
    result = Connection(EmulatedSerial(emulator)).classify(images[0])
    np.testing.assert_array_equal(result.logits, expected[0])
    assert result.cycles > 10_000


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.name)
def test_every_core_boots_and_classifies(tmp_path, cpu):
    """Split memories, the widest FPU, caches and MPU where the core can have them."""
    console = "functions" if cpu.caches else "semihosting"
    cache = 16 * KIB if cpu.caches else 0
    board = board_of(
        cpu=cpu.name,
        fpu=cpu.fpus[-1].word,
        console=console,
        mpu=cpu.mpu,
        instruction_cache_bytes=cache,
        data_cache_bytes=cache,
    )
    emulator = Emulator(board, build_fake(board, tmp_path, FakeModel(streamed=True)))
    assert emulator.banner.strip().startswith("split, 96 MHz: image 8x6x3 streamed")
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
    emulator.close_window()
    result = Connection(EmulatedSerial(emulator)).classify(image)
    np.testing.assert_array_equal(result.logits, fake_model.reference(image))
    # Counted by DWT, or by SysTick: at least the loop of the fake model.
    assert fake_model.LOOP_INSTRUCTIONS < result.cycles < 2 * fake_model.LOOP_INSTRUCTIONS
    stack_top = emulator.elf.address("__stack_top")
    arena = emulator.elf.address("__arena_start")
    assert 0x10000000 < stack_top <= 0x10004000
    assert 0x20000000 <= arena < 0x20010000


def _serve(listener, emulator):
    """What OpenOCD's semihosting redirection is to a client: a TCP connection."""
    line = EmulatedSerial(emulator)
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(4096):
            line.write(data)
            connection.sendall(line.read(0.0))


def test_semihosting_console_over_tcp(tmp_path):
    board = board_of()
    emulator = Emulator(board, build_fake(board, tmp_path))
    with socket.create_server(("localhost", 0)) as listener:
        server = threading.Thread(target=_serve, args=(listener, emulator), daemon=True)
        server.start()
        line = SerialTransport(f"socket://localhost:{listener.getsockname()[1]}", 115200)
        image = fake_model.images(1)[0]
        result = Connection(line).classify(image)
        line.close()
        server.join(10)
    np.testing.assert_array_equal(result.logits, fake_model.reference(image))


def test_memory_map_is_exact(tmp_path):
    statement = "volatile char b[9000]; for (int i = 0; i < 9000; ++i) b[i] = 1; (void)b[0];"
    board = board_of()
    elf = build_fake(board, tmp_path / "a", FakeModel(operator_zero_prologue=statement))
    with pytest.raises(GuestFault, match=r"split: write to 0x0fff"):
        Emulator(board, elf).classify(fake_model.images(1)[0])
    beyond = "*(volatile int*)0x20010000 = 1;"
    elf = build_fake(board, tmp_path / "b", FakeModel(operator_zero_prologue=beyond))
    with pytest.raises(GuestFault, match="split: write to 0x20010000 of 4 bytes"):
        Emulator(board, elf).classify(fake_model.images(1)[0])
    with pytest.raises(FirmwareError, match=r"does not fit split: .*HIGH.* overflowed by"):
        build_fake(board, tmp_path / "c", FakeModel(arena_bytes=64 * KIB + 16))
    # 4 KB in another place of the map is another board: the same image does not run there.
    moved = dataclasses.replace(
        board,
        regions=tuple(
            dataclasses.replace(r, base=0x10001000) if r.name == "LOW" else r for r in board.regions
        ),
    )
    with pytest.raises(GuestFault):
        Emulator(moved, tmp_path / "a" / "firmware.elf")


UART = """\
// SPDX-License-Identifier: Apache-2.0
#include "board_config.h"
#include "generic/board_hooks.h"
#define UART_DATA (*(volatile unsigned*)0x40002000u)
void board_init(void) { UART_DATA = 1u; }
void board_console_init(void) { UART_DATA = BOARD_CONSOLE_BAUD; }
void board_putc(uint8_t byte) { UART_DATA = byte; }
int board_getc(void) { return (int)UART_DATA; }
"""


def test_sources_of_the_user_are_compiled_and_stood_in_for(tmp_path):
    (tmp_path / "uart.c").write_text(UART)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**SPLIT, "console": "functions", "sources": ["uart.c"]}))
    board = get_board(str(file))
    generated, kernels = fake_model.write(tmp_path / "generated")
    project = make_project(board, generated, kernels, name="digits")
    assert "src/board/uart.c" in [str(unit.path) for unit in project.translation_units()]
    build(project, tmp_path / "firmware.elf")
    emulator = Emulator(board, tmp_path / "firmware.elf")
    assert emulator.banner.strip().startswith("mine, 96 MHz")
    size = {f.name: f.size_bytes for f in emulator.elf.functions}["board_putc"]
    assert size > 4, "the weak definition was linked"


def test_weights_in_external_memory(tmp_path):
    board = board_of(regions=[FLASH, LOW, HIGH, OUTSIDE])
    assert board.external_flash().kind is RegionKind.EXTERNAL_FLASH
    elf = build_fake(board, tmp_path, FakeModel(section=".extflash.vit_weights"))
    emulator = Emulator(board, elf)
    assert emulator.memory_use().external_flash_bytes == len(fake_model.weights().tobytes())
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
    # Other bytes there are noticed at start, not in the logits.
    weights = emulator.elf.address("__extflash_start")
    emulator.machine.write(weights, bytes([emulator.machine.read(weights, 1)[0] ^ 1]))
    emulator.reset()
    assert "external flash: holds other weights" in emulator.banner


@pytest.mark.parametrize("console", ["semihosting", "functions"])
def test_readme_tells_how_to_reach_the_console(tmp_path, console):
    generated, kernels = fake_model.write(tmp_path / "generated")
    out = tmp_path / "out"
    project = make_project(board_of(console=console), generated, kernels, name="digits")
    export_project(project, "cmake", out, check=False)
    readme = (out / "README.md").read_text()
    assert ("semihosting_redirect tcp 2323" in readme) == (console == "semihosting")
    assert ("board_putc()" in readme) == (console == "functions")
    # No tool is known to program this board.
    assert "with the tool of your debug probe" in readme
    assert "add_custom_target(flash" not in (out / "CMakeLists.txt").read_text()


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_cmake_project_builds_by_its_readme_and_runs(tmp_path):
    board = board_of(openocd="board/nordic_nrf52_dk.cfg")
    generated, kernels = fake_model.write(tmp_path / "generated")
    out = tmp_path / "out"
    export_project(make_project(board, generated, kernels, name="digits"), "cmake", out)
    shutil.rmtree(tmp_path / "generated")
    run_commands(out, readme_commands(out, "Build"))
    emulator = Emulator(board, out / "build" / "release" / "digits.elf")
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
    assert "STM32" not in (out / "README.md").read_text()
    assert readme_commands(out, "Program") == [
        "cmake --build --preset release --target flash-openocd"
    ]
    assert not list((out / "src").glob("stm32"))


def test_cube_ide_project_builds_from_its_cproject_and_runs(tmp_path):
    board = board_of(cube_ide_mcu="STM32F446RETx")
    generated, kernels = fake_model.write(tmp_path / "generated")
    out = tmp_path / "out"
    project = make_project(board, generated, kernels, name="digits")
    export_project(project, "stm32cubeide", out, check=False)
    emulator = Emulator(board, cproject_build.build(out, "Release"))
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))


def test_formats_that_need_a_name_ask_for_it(tmp_path):
    generated, kernels = fake_model.write(tmp_path / "generated")
    project = make_project(board_of(), generated, kernels, name="digits")
    for name, key in (("stm32cubeide", "cube_ide_mcu"), ("mbed", "mbed_target")):
        with pytest.raises(FirmwareError, match=f"give {key} in split.json"):
            export_project(project, name, tmp_path / "out", check=False)
        assert not (tmp_path / "out").exists()
    named = make_project(board_of(mbed_target="K64F"), generated, kernels, name="digits")
    export_project(named, "mbed", tmp_path / "out", check=False)
    assert "-DMBED_TARGET=K64F" in (tmp_path / "out" / "README.md").read_text()
    small = board_of(cpu="cortex-m0plus", fpu="none", mbed_target="NUCLEO_L073RZ")
    with pytest.raises(FirmwareError, match="DWT, which cortex-m0plus lacks"):
        export_project(make_project(small, generated, kernels), "mbed", tmp_path / "x", check=False)


def test_every_key_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "boards.md").read_text()
    for key in KEYS:
        assert f"| `{key.name}` |" in text
    for path in SAMPLES:
        assert path.read_text() in text
