# SPDX-License-Identifier: Apache-2.0
"""A Cortex-M7 that no shop sells: as much memory as a model needs, to run any model emulated."""

from __future__ import annotations

import json
from pathlib import Path

from boards.board import Board
from boards.board_file import parse_board
from boards.keys import PAGE_BYTES

_CODE_BASE, _SRAM_BASE, _SRAM_END = 0x0800_0000, 0x2000_0000, 0x4000_0000
_CODE_BYTES = 512 * 1024  # More than all kernels and the application together.
_STACK_BYTES = 32 * 1024
_DATA_BYTES = 64 * 1024  # .data, .bss and the stack


def _pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def generic_cortex_m7(arena_bytes: int, weights_bytes: int) -> Board:
    """A board whose flash and SRAM hold a model of these sizes.

    Raises:
      ValueError: more than a Cortex-M's memory map has room for.
    """
    flash, sram = _pages(_CODE_BYTES + weights_bytes), _pages(_DATA_BYTES + arena_bytes)
    for what, size, room in (
        ("weights", flash, _SRAM_BASE - _CODE_BASE),
        ("arena", sram, _SRAM_END - _SRAM_BASE),
    ):
        if size > room:
            raise ValueError(
                f"{what}: got {size} bytes with what goes beside them, expected at most {room}, "
                "the room in a Cortex-M's memory map"
            )
    description = {
        "name": "generic_cortex_m7",
        "title": "Cortex-M7 with memory to measure",
        "cpu": "cortex-m7",
        "fpu": "single",
        "clock_hz": 216_000_000,
        "stack_bytes": _STACK_BYTES,
        "regions": [
            {"name": "FLASH", "origin": _CODE_BASE, "length": flash, "kind": "flash"},
            {"name": "SRAM", "origin": _SRAM_BASE, "length": sram, "kind": "sram"},
        ],
    }
    return parse_board(json.dumps(description), Path("generic_cortex_m7.json"))
