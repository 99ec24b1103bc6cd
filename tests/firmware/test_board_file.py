# SPDX-License-Identifier: Apache-2.0
"""Boards given by their regions: the firmware and its projects run on them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from boards import RegionKind, get_board
from boards.core import CPUS
from boards.keys import CLOCK_KEYS, CONSOLE_KEYS, KEYS, QUAD_SPI_KEYS, REGION_KEYS
from converter.runtimes.host import HostModel
from firmware.build_elf import build
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.faults import GuestFault
from firmware.emulator.serial_line import EmulatedSerial
from firmware.errors import FirmwareError
from firmware.export import export_project
from firmware.model import build_model
from firmware.project import make_project
from firmware.render import board_header, linker_script
from firmware.transports import SerialTransport
from tests.boards.board_files import FLASH, HIGH, KIB, LOW, OUTSIDE, SAMPLES, SPLIT, board_of
from tests.converter.compile import fused_models
from tests.firmware import cproject_build, fake_model
from tests.firmware.fake_model import FakeModel
from tests.firmware.test_export import readme_commands, run_commands


def build_fake(board, folder, model=FakeModel()):  # noqa: B008
    generated, kernels = fake_model.write(folder / "generated", model)
    elf = folder / "firmware.elf"
    build(make_project(board, generated, kernels), elf)
    return elf


def test_linker_script_and_header_say_what_the_file_says():
    board = board_of()
    script = linker_script(board)
    assert "LOW (rw) : ORIGIN = 0x10000000, LENGTH = 16384" in script
    assert "#define BOARD_CLOCK_SYSTEM_HZ 96000000u" in board_header(board)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_run_a_network_with_the_logits_of_the_host(tmp_path, path):
    """A Cortex-M4F with semihosting, a Cortex-M33 with functions of the user's."""
    board = get_board(str(path))
    ops = fused_models.vit_ops(bits=16, rank=4)
    model, plan = fused_models.model_bytes(ops), fused_models.stacked_plan(ops)
    elf = tmp_path / "firmware.elf"
    build_model(model, board, elf, plan=plan)
    strict = board.core.name != "cortex-m33"
    emulator = Emulator(board, elf, strict=strict)
    if not strict:
        with pytest.raises(FirmwareError, match="strict alignment checks are not available"):
            Emulator(board, elf, strict=True)
    assert emulator.banner.strip().startswith(f"{board.title}, 64 MHz: image ")
    shape = (3, *emulator.model.image_shape)
    images = np.random.default_rng(3).integers(-128, 128, shape, np.int8)
    expected = HostModel(model, plan).run(images)
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
        server.join(100)
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
    for key in (*KEYS, *REGION_KEYS, *CLOCK_KEYS, *CONSOLE_KEYS, *QUAD_SPI_KEYS):
        assert f"| `{key.name}` |" in text
    for path in SAMPLES:
        assert path.read_text() in text
