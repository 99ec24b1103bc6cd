# SPDX-License-Identifier: Apache-2.0
"""Notebooks of examples/ run: their code cells, one after another, on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.converter.inspect.pages import plain_block

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples" / "notebooks").glob("*.ipynb"))


def code_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "plain.tflite").write_bytes(plain_block())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, code in enumerate(code_of(path)):
        exec(compile(code, f"{path.name}, code cell {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert "operators -> 2" in printed
    assert (tmp_path / "my_model" / "include" / "my_model.h").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stored_without_results(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert all(not c["outputs"] for c in cells if c["cell_type"] == "code")
