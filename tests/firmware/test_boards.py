# SPDX-License-Identifier: Apache-2.0
"""Boards: the figures of the manuals, and what the renderers make of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from boards import RegionKind, board_names, get_board
from boards.console import Pin
from firmware.board_table import document
from firmware.connection import Connection
from firmware.emulator.emulator import Emulator
from firmware.emulator.faults import GuestFault
from firmware.emulator.serial_line import EmulatedSerial
from firmware.render import board_header, linker_script
from tests.firmware import fake_model
from tests.firmware.fake_model import FakeModel


def test_stm32f746g_disco_is_the_real_chip():
    board = get_board("stm32f746g_disco")
    flash, sram, qspi = (board.region(name) for name in ("FLASH", "SRAM", "QSPI"))
    assert (flash.base, flash.size_bytes) == (0x08000000, 1048576)
    assert (sram.base, sram.size_bytes) == (0x20000000, 320 * 1024)
    assert (qspi.base, qspi.size_bytes) == (0x90000000, 16 * 1024 * 1024)
    assert board.clock.system_hz == 216_000_000
    assert board.clock.apb1_hz == 54_000_000
    assert board.console.clock_hz == 108_000_000
    assert board.core.compiler_flags() == (
        "-mcpu=cortex-m7",
        "-mthumb",
        "-mfpu=fpv5-sp-d16",
        "-mfloat-abi=hard",
    )


@pytest.mark.parametrize("name", board_names())
def test_linker_script_has_exactly_the_regions_of_the_board(name):
    board = get_board(name)
    script = linker_script(board)
    assert "@" not in script
    memory = script.split("MEMORY")[1].split("}")[0]
    lines = [line.split() for line in memory.splitlines() if "ORIGIN" in line]
    found = {(line[0], int(line[5].rstrip(","), 16), int(line[8])) for line in lines}
    assert found == {(r.name, r.base, r.size_bytes) for r in board.regions}


@pytest.mark.parametrize("name", board_names())
def test_header_carries_the_clock(name):
    board = get_board(name)
    assert f"#define BOARD_CLOCK_SYSTEM_HZ {board.clock.system_hz:#x}u" in board_header(
        board
    ) or f"#define BOARD_CLOCK_SYSTEM_HZ {board.clock.system_hz}u" in board_header(board)


def test_errors_name_the_board_and_the_choices():
    with pytest.raises(ValueError, match=r"unknown board 'nucleo'.*stm32f746g_disco"):
        get_board("nucleo")
    with pytest.raises(ValueError, match="no memory region 'CCM'; it has ITCM, FLASH"):
        get_board("stm32f746g_disco").region("CCM")
    with pytest.raises(ValueError, match="PZ3"):
        Pin("Z", 3)


def test_overlapping_regions_and_odd_stacks_are_refused():
    board = get_board("stm32f746g_disco")
    sram = board.region("SRAM")
    other = dataclasses.replace(sram, name="MORE", base=sram.base + 1024)
    with pytest.raises(ValueError, match="SRAM and MORE overlap"):
        dataclasses.replace(board, regions=(*board.regions, other))
    with pytest.raises(ValueError, match="stack_bytes is 1000"):
        dataclasses.replace(board, stack_bytes=1000)
    assert board.external_flash() is not None
    assert board.region("SRAM").kind is RegionKind.RAM


@pytest.mark.parametrize("name", board_names())
def test_every_board_boots_at_its_clock_and_classifies(build_fake, name):
    built = build_fake(FakeModel(), name)
    emulator = Emulator(built.board, built.elf)
    assert emulator.machine.chip.rcc.system_hz() == built.board.clock.system_hz
    assert f"{built.board.title}, {built.board.clock.system_hz // 10**6} MHz" in emulator.banner
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
    emulator.close_window()
    result = Connection(EmulatedSerial(emulator)).classify(image)
    np.testing.assert_array_equal(result.logits, fake_model.reference(image))


@pytest.mark.parametrize("name", board_names())
def test_baud_rate_is_within_one_per_cent(build_fake, name):
    built = build_fake(FakeModel(), name)
    emulator = Emulator(built.board, built.elf)
    console = emulator.machine.chip.console
    baud = built.board.console.clock_hz / console.values[console.BRR]
    assert baud == pytest.approx(built.board.console.baud, rel=0.01)


@pytest.mark.parametrize("name", board_names())
def test_stack_overflow_is_caught_on_every_board(build_fake, name):
    """The stack lies at the start of its memory: below it there is nothing."""
    statement = "volatile char b[9000]; for (int i = 0; i < 9000; ++i) b[i] = 1; (void)b[0];"
    built = build_fake(FakeModel(operator_zero_prologue=statement), name)
    bottom = built.board.region(built.board.stack_region).base
    with pytest.raises(GuestFault, match=f"write to {bottom - 4096:#010x}"[:-4]):
        Emulator(built.board, built.elf).classify(fake_model.images(1)[0])


def data_bytes(board):
    kinds = (RegionKind.RAM, RegionKind.TCM)
    return sum(region.size_bytes for region in board.regions if region.kind in kinds)


def test_256_kilobytes_of_the_f427_and_1_megabyte_of_the_h743():
    assert data_bytes(get_board("openmv_cam_m4")) == 256 * 1024
    assert get_board("openmv_cam_m4").clock.system_hz == 180_000_000
    assert data_bytes(get_board("nucleo_h743zi2")) == (128 + 512 + 288 + 64) * 1024
    assert get_board("nucleo_h743zi2").clock.system_hz == 480_000_000
    assert get_board("nucleo_h743zi2").clock.ahb_hz == 240_000_000


def test_document_is_up_to_date():
    written = Path(__file__).parents[2] / "docs" / "boards.md"
    assert written.read_text() == document(), "run python -m firmware.board_table"
