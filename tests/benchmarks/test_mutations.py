# SPDX-License-Identifier: Apache-2.0
"""Each planted fault still finds its place, and its tests exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutations.__main__ import _tests_pass, planted
from benchmarks.mutations.faults import FAULTS

ROOT = Path(__file__).resolve().parents[2]


def test_faults_are_where_they_say() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        text = (ROOT / fault.path).read_text(encoding="utf-8")
        assert planted(text, fault) != text
        assert all((ROOT / test).exists() for test in fault.tests), fault.name


def test_a_text_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"row beyond the image: .* 0 times, expected 1"):
        planted("", FAULTS[0])


def test_tests_that_do_not_end_notice_a_fault(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it():\n    while True:\n        pass\n", encoding="utf-8"
    )
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    assert not _tests_pass(tmp_path, ("test_it.py",), 3.0)
    assert _tests_pass(tmp_path, ("test_other.py",), 30.0)
