# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.compile``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from converter.compile.compiler import CompiledModel, GeneratedFile
from converter.plan.model import plan_model
from tests.commands import run_here
from tests.converter.compile import fused_models

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_here("converter.compile", *arguments)


@pytest.fixture(scope="module")
def content() -> bytes:
    return fused_models.model_bytes(fused_models.vit_ops())


def test_generates_all_files(tmp_path, content):
    model, out, figures = tmp_path / "m.tflite", tmp_path / "out" / "c", tmp_path / "figures.json"
    planned = plan_model(content, streamed=True)
    model.write_bytes(planned.model_bytes)
    words = [f"--model={model}", f"--out={out}", f"--json={figures}", "--weights_in=external"]
    command = [sys.executable, "-m", "converter.compile", *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    names = {"vit_model.h", "vit_model.c", "vit_model_weights.S", "vit_model_weights.bin"}
    assert names <= {p.name for p in out.iterdir()}
    assert b".extflash" in (out / "vit_model_weights.S").read_bytes()
    parsed = json.loads(figures.read_text())
    assert parsed["operators"] == 7
    assert parsed["arena_bytes"] == planned.plan.arena_bytes + 16  # the streaming state
    assert parsed["weights_bytes"] == (out / "vit_model_weights.bin").stat().st_size


def test_bad_input_is_one_clear_line_and_writes_nothing(tmp_path, content):
    unplanned = tmp_path / "unplanned.tflite"
    unplanned.write_bytes(content)
    for model, reason in (
        (unplanned, "converter.fuse"),
        (tmp_path / "none.tflite", "No such file"),
    ):
        result = run(f"--model={model}", f"--out={tmp_path / 'out'}")
        assert result.returncode != 0
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"compile: {model}: ")
        assert reason in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_bad_output_folder_is_refused_before_the_model_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    result = run(f"--model={tmp_path / 'none.tflite'}", f"--out={tmp_path / 'file' / 'c'}")
    assert result.returncode == 1
    assert result.stderr == f"compile: {tmp_path / 'file'}: got a file, expected a folder\n"


def test_no_file_is_replaced_where_one_of_them_cannot_be(tmp_path):
    old = tmp_path / "vit_model.h"
    old.write_text("old")
    (tmp_path / "vit_model.c").mkdir()
    files = tuple(GeneratedFile(name, b"new") for name in ("vit_model.h", "vit_model.c"))
    with pytest.raises(OSError, match="got a folder") as found:
        CompiledModel(None, files, 0).write(tmp_path)
    assert found.value.filename == tmp_path / "vit_model.c"
    assert old.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vit_model.c", "vit_model.h"]
