# SPDX-License-Identifier: Apache-2.0
"""Notebooks of examples/ run: their code cells, one after another, in their short form."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_vit
from nas.search.front import write_front as write_files
from nas.search.study import Evaluated
from tests.converter.inspect.pages import plain_block
from tests.tflm_vit.test_commands import COMMANDS

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_notebooks() -> None:
    assert [p.stem for p in NOTEBOOKS] == ["space_to_network", "tflite_to_library"]


def run_cells(path: Path, cells: list[str], names: dict[str, Any], first: int = 0) -> None:
    for number, code in enumerate(cells, first):
        exec(compile(code, f"{path.name}, code cell {number}", "exec"), names)


def test_a_file_becomes_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = FOLDER / "tflite_to_library.ipynb"
    (tmp_path / "plain.tflite").write_bytes(plain_block())
    monkeypatch.chdir(tmp_path)
    run_cells(path, code_of(path), {})
    printed = capsys.readouterr().out
    assert "operators -> 2" in printed
    assert (tmp_path / "my_model" / "include" / "my_model.h").is_file()


def test_a_space_becomes_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but trainings: of these the flags are parsed, and what they would write stands ready."""
    path = FOLDER / "space_to_network.ipynb"
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    first, *rest = code_of(path)
    run_cells(path, [first], names)
    typed: list[str] = []

    def command(module: str, *flags: str) -> None:
        typed.append(module)
        importlib.import_module(COMMANDS[module]).FLAGS.parse(list(flags))
        if module == "nas.search":
            write_front(names["sampler"], tmp_path / "found")
        if module == "converter.fuse":
            (tmp_path / "fused.tflite").write_bytes(tflm_vit.fuse(plain_block()).model_bytes)

    names["command"] = command
    run_cells(path, rest, names, 1)
    assert typed == [
        "nas.train_supernet", "nas.search", "nas.retrain", "converter.quantize", "converter.fuse",
    ]  # fmt: skip
    printed = capsys.readouterr().out
    assert "8,788 of 15,072 networks fit SRAM and flash" in printed
    assert "the search saw" in printed


def write_front(sampler: Any, folder: Path) -> None:
    """The front of a search that saw two networks."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(2):
        config = sampler.draw(rng)
        cost = dataclasses.asdict(sampler.model.cost(sampler.space.arch(config)))
        found.append(Evaluated(number, config, 0.5 + number / 10, cost["latency_ms"], cost))
    folder.mkdir()
    write_files(str(folder), sampler.space, found, found, "two networks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stored_without_results(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert all(not c["outputs"] for c in cells if c["cell_type"] == "code")
