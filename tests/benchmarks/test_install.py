# SPDX-License-Identifier: Apache-2.0
"""What is recorded of installing and of TFLM's wheels is of what the toolkit says now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.install.process import InstallTrialError, taken
from benchmarks.install.pythons import VERSIONS
from benchmarks.install.trial import oldest
from converter.runtimes.tflm import abi

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def record(name: str) -> dict:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def test_every_tested_wheel_of_tflm_gave_the_references_results() -> None:
    rows = record("tflm_wheels.json")["wheels"]
    assert sorted(row["wheel"] for row in rows) == list(abi.tested())
    assert len(rows) >= 3
    assert {row["layout"] for row in rows} == {layout.context for layout in abi.LAYOUTS}
    assert all(row["equal"] == row["inputs"] > 0 for row in rows)


def test_the_core_is_light() -> None:
    """Times of a clock say how busy the machine was; what a processor did, less so."""
    trials = record("install.json")["trials"]
    assert {t["python"] for t in trials if t["end"] == "newest"} == set(VERSIONS)
    for trial in trials:
        assert trial["import_cpu_s"] < 1
        assert trial["fuse"]["cpu_s"] < 2  # 1.4 on a machine that does nothing else
        assert trial["fuse"]["peak_mb"] < 250
        assert len(trial["packages"]) <= 14
        assert "tensorflow" not in trial["packages"]


def test_the_lower_ends_are_those_of_the_wheel() -> None:
    for version in VERSIONS:
        pins = oldest(version)
        assert [re.split("==", pin)[0] for pin in pins] == [
            "absl-py", "flatbuffers", "numpy", "ortools", "pandas",
        ]  # fmt: skip
    assert "numpy==1.26.*" in oldest("3.12")
    assert "numpy==2.1.*" in oldest("3.13")


def test_what_a_process_takes_is_measured(tmp_path: Path) -> None:
    text = "x = bytearray(60 << 20); print(len(x), sum(range(3_000_000)) > 0)"
    found = taken(["python3", "-c", text], tmp_path)
    assert found.output.split() == [str(60 << 20), "True"]
    assert 60 < found.peak_mb < 200
    assert 0.01 < found.cpu_s <= found.wall_s * 8
    with pytest.raises(InstallTrialError, match="no such thing"):
        taken(["python3", "-c", "raise SystemExit('no such thing')"], tmp_path)
