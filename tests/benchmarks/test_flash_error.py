# SPDX-License-Identifier: Apache-2.0
"""Flash of models without an image, with a stem, or that are not fused, against the linker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.flash_error import Kind, linked
from boards import get_board
from converter.compile.prepared import prepared
from converter.plan import plan_model
from converter.plan.report import flash_report
from tests.converter.compile import fused_models
from tests.recorded_compiler import recorded_compiler_only

ROOT = Path(__file__).parents[2]


@recorded_compiler_only()
@pytest.mark.parametrize(
    ("kind", "seed", "board"),
    [(Kind.TOKENS, 3000, "openmv_cam_m4"), (Kind.PLAIN, 3000, "nucleo_h743zi2")],
)
def test_prediction_is_what_the_linker_says(tmp_path, kind, seed, board):
    found = linked(kind, seed, get_board(board), tmp_path / "firmware.elf")
    assert found.sram_error == 0
    assert abs(found.flash_error) <= 128


def test_constants_of_a_fused_file_are_its_own():
    planned = plan_model(fused_models.model_bytes(fused_models.vit_ops()))
    stated = planned.model_problem
    found = prepared(stated.graph, stated.ops, planned.plan)
    assert found.constant_bytes == flash_report(stated, 0).constant_bytes
    assert not found.names
    assert [call.statements for call in found.calls] == [1] * len(stated.ops)


def test_the_page_says_what_was_recorded():
    record = json.loads((ROOT / "docs" / "results" / "flash_error.json").read_text())
    page = " ".join((ROOT / "docs" / "search.md").read_text().split())
    for name, said in record["kinds"].items():
        flash = said["flash"]
        text = f"{name}: {said['networks']}, {flash['largest']}, {flash['mean']:.0f}"
        assert text in page, text
        assert said["sram"]["largest"] == 0
