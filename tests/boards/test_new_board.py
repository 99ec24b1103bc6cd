# SPDX-License-Identifier: Apache-2.0
"""A new file is a board at once, in every command that takes one: nothing else to write."""

import json

import numpy as np
import pytest

from boards import board_names
from converter.plan import plan_model
from keras_models.presets import PRESETS
from tests.commands import run_here
from tests.converter.plan.vit_models import fused_model

BOARD = {
    "title": "My board",
    "cpu": "cortex-m33",
    "fpu": "single",
    "clock_hz": 110_000_000,
    "regions": [
        {"name": "CODE", "origin": "0x08000000", "length": 0x40000, "kind": "flash"},
        {"name": "FAST", "origin": "0x20000000", "length": 0x4000, "kind": "tcm"},
        {"name": "SLOW", "origin": "0x20010000", "length": 0xA000, "kind": "sram"},
    ],
    "place": {"stack": "FAST", "data": "FAST", "arena": "SLOW"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    (folder / "mine.json").write_text(json.dumps(BOARD))
    model = plan_model(fused_model(PRESETS["test_cls"], seed=1)).model_bytes
    (folder / "model.tflite").write_bytes(model)
    np.save(folder / "images.npy", np.zeros((1, 16, 16, 3), np.uint8))
    return folder


def run(folder, module, *arguments):
    return run_here(module, f"--board={folder / 'mine.json'}", *arguments)


def test_search_names_its_region(folder):
    out = folder / "report.json"
    done = run(folder, "nas.report", "--space=mcu_32", f"--json={out}")
    assert done.returncode == 0, done.stderr
    assert "SRAM region SLOW of mine, 40,960 bytes, image streamed" in done.stdout
    target = json.loads(out.read_text())["rows"][0]["target"]
    assert target["clock_hz"] == 110_000_000
    assert [(r["name"], r["holds"]) for r in target["regions"]] == [
        ("CODE", ["code"]),
        ("FAST", ["data", "stack"]),
        ("SLOW", ["arena"]),
    ]


def test_inspect_fills_its_regions(folder):
    out = folder / "inspect.json"
    done = run(folder, "converter.inspect", f"--model={folder / 'model.tflite'}", f"--json={out}")
    assert done.returncode == 0, done.stderr
    assert "My board" in done.stdout
    board = json.loads(out.read_text())["board"]
    assert board["fits"]
    assert [r["name"] for r in board["regions"]] == ["CODE", "FAST", "SLOW"]


def test_inspect_refuses_what_does_not_link(folder):
    large = folder / "large.tflite"
    large.write_bytes(plan_model(fused_model(PRESETS["vit_digits"])).model_bytes)
    tight = json.loads(json.dumps(BOARD))
    tight["regions"][2]["length"] = 0x1000
    (folder / "tight.json").write_text(json.dumps(tight))
    done = run_here("converter.inspect", f"--model={large}", f"--board={folder / 'tight.json'}")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "over budget on tight: region SLOW: arena" in line
    assert "what would make it fit" in line


def test_export_and_emulate_run_on_it(folder):
    model = f"--model={folder / 'model.tflite'}"
    done = run(folder, "firmware.export", model, "--format=cmake", f"--out={folder / 'fw'}")
    assert done.returncode == 0, done.stderr
    assert "SLOW (rw) : ORIGIN = 0x20010000" in (folder / "fw" / "board" / "linker.ld").read_text()
    scaling = ("--mean=128", "--std=20")  # of a made-up model
    done = run(folder, "firmware.emulate", model, f"--images={folder / 'images.npy'}", *scaling)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["nas.report", "converter.inspect"])
def test_an_unknown_board_is_named_with_those_there_are(folder, module):
    arguments = [f"--model={folder / 'model.tflite'}"] if module == "converter.inspect" else []
    done = run_here(module, "--board=nucleo", *arguments)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert "unknown board 'nucleo'" in line
    for name in board_names():
        assert name in line
