# SPDX-License-Identifier: Apache-2.0
"""What is missing, or another package's, is one line that says what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tflm_vit import installed
from tflm_vit.installed import EXTRAS, ROOMS, InstallError, expect_own_rooms, missing_line

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Names of distributions that are not those of their modules.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "vl_convert": "vl-convert-python",
}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=;\[ ]", r)[0].lower() for r in requirements}


@pytest.mark.parametrize(("module", "name"), [(m, name) for m in EXTRAS for name in EXTRAS[m]])
def test_the_extras_that_are_named_install_the_package(module: str, name: str) -> None:
    distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
    extra = PROJECT["optional-dependencies"][name]
    inherited = PROJECT["optional-dependencies"]["train"] if name == "search" else []
    assert distribution.lower() in names_of([*extra, *inherited])
    assert f"run: pip install 'tflm-vit[{EXTRAS[module][0]}]'" in missing_line(f"{module}.part")


def test_a_command_names_the_extra_that_has_all_of_it() -> None:
    """Whoever emulates is not told to install TensorFlow."""
    for command in ("emulate", "client"):
        assert "tflm-vit[emulator]" in missing_line("tqdm", command)
        assert "tflm-vit[train]" in missing_line("tensorflow", command)
    assert "tflm-vit[train]" in missing_line("tqdm", "evaluate")


def test_the_core_is_four_packages() -> None:
    core = {"absl-py", "flatbuffers", "numpy", "ortools"}
    assert names_of(PROJECT["dependencies"]) == core | {"pandas"}  # which OR-Tools imports
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {"train", "tflm", "search", "emulator", "report", "docs", "all", "dev"}


def test_every_room_is_one_of_the_checkouts() -> None:
    expect_own_rooms()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(ROOMS) == packages - {"tflm_vit", "tests", "benchmarks", "examples"}


@pytest.mark.parametrize("taken", ["converter.py", "converter/__init__.py", "nas/__init__.py"])
def test_another_package_of_that_name_is_a_clear_line(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "tflm_vit", "fuse", "--model=a.tflite", "--out=b.tflite"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"fuse: Python finds another module '{taken.split('/')[0].removesuffix('.py')}'" in (
        done.stderr
    )
    assert "environment of its own" in done.stderr


def test_a_room_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "ROOMS", ("no_such_room",))
    with pytest.raises(InstallError, match="no_such_room"):
        expect_own_rooms()


def test_a_command_whose_package_is_missing_is_one_line() -> None:
    text = (
        "import sys; sys.modules['tqdm'] = None; sys.argv = ['tflm-vit', 'evaluate'];"
        "from tflm_vit.command import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "evaluate: needs the Python package 'tqdm', which is not installed; "
        "run: pip install 'tflm-vit[train]'\n"
    )
