# SPDX-License-Identifier: Apache-2.0
"""Boards: the figures of the manuals, and what the renderers make of them."""

from __future__ import annotations

import dataclasses

import pytest

from firmware.boards import RegionKind, board_names, get_board
from firmware.boards.board import Pin
from firmware.render import board_header, linker_script


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
