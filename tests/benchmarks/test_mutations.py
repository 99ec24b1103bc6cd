# SPDX-License-Identifier: Apache-2.0
"""Each planted fault still finds its place, and its tests exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutations.__main__ import Run, planted, run_tests
from benchmarks.mutations.faults import FAULTS

DECLARING = {
    "dsp": {
        "gemm_dsp.h",
        "gemm_dsp_layout.h",
        "expand_dsp.h",
        "norm_dsp.h",
        "store_dsp.h",
        "widen_dsp.h",
    },
    "mve": {"gemm_mve.h", "gemm_mve_layout.h", "softmax_mve.h"},
}  # headers
ROOT = Path(__file__).resolve().parents[2]


def test_faults_are_where_they_say() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        text = (ROOT / fault.path).read_text(encoding="utf-8")
        assert planted(text, fault) != text
        assert all((ROOT / test.split("::")[0]).exists() for test in fault.tests), fault.name


@pytest.mark.parametrize("core", ["dsp", "mve"])
def test_each_source_of_a_core_has_a_fault(core: str) -> None:
    """But of the headers that only declare: what no test runs, no test would notice."""
    sources = {path.name for path in (ROOT / "tflm_custom_ops").rglob(f"vit_*_{core}*.[chS]")}
    without = sources - {Path(fault.path).name for fault in FAULTS}
    assert without == {f"vit_{name}" for name in DECLARING[core]}


def test_a_text_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"row beyond the image: .* 0 times, expected 1"):
        planted("", FAULTS[0])


def test_tests_that_do_not_end_notice_a_fault(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it():\n    while True:\n        pass\n", encoding="utf-8"
    )
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    assert not run_tests(tmp_path, ("test_it.py",), 3.0).passed
    assert run_tests(tmp_path, ("test_other.py",), 30.0).passed


def test_the_test_that_noticed_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert 1 == 2\n", encoding="utf-8")
    done = run_tests(tmp_path, ("test_it.py",))
    assert done.noticed_by == "test_it.py::test_it - assert 1 == 2"
    assert done.result == "killed"


@pytest.mark.parametrize(
    "who",
    [
        "HostLibraryError: vit_gelu.c: cc failed: /tmp/x/vit_gelu.c:3",
        "EmulationError: vit_a.c: arm-none-eabi-gcc failed: vit_a.c:1",
    ],
)
def test_a_fault_that_no_compiler_takes_is_none(who: str) -> None:
    assert Run(False, 1.0, f"tests/test_it.py::test_it - a.b.{who}: error").result == "not compiled"
