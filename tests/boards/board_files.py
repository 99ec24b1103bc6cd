# SPDX-License-Identifier: Apache-2.0
"""Boards' files for tests: a Cortex-M4 with split memories, and what may be changed in it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import boards
from boards.board_file import parse_board

SAMPLES = sorted((Path(boards.__file__).parent / "samples").glob("*.json"))
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
