# SPDX-License-Identifier: Apache-2.0
"""The exact search in a process of its own: where OR-Tools would crash behind TensorFlow."""

from __future__ import annotations

import pytest

from converter.plan import cp_sat, heuristic, own_process
from converter.plan.problem import Buffer, PlanError, Problem

SIZES = (912, 400, 1201, 77, 640, 1555, 300, 48)
PROBLEM = Problem(
    tuple(Buffer(f"b{i}", n, i // 2, i // 2 + 1 + i % 3, 16) for i, n in enumerate(SIZES)), ()
)


@pytest.fixture
def after_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp_sat, "_AFTER_TENSORFLOW", True)
    monkeypatch.setattr(cp_sat, "_LAST_SAFE", (0, 0))


def test_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    start = heuristic.search(PROBLEM, iterations=0)
    monkeypatch.setattr(cp_sat, "_AFTER_TENSORFLOW", False)
    here = cp_sat.solve(PROBLEM, start, 10.0, 3)
    monkeypatch.setattr(cp_sat, "_AFTER_TENSORFLOW", True)
    monkeypatch.setattr(cp_sat, "_LAST_SAFE", (0, 0))
    assert cp_sat.solve(PROBLEM, start, 10.0, 3) == here
    assert here.optimal


def test_it_is_not_solved_here(after_tensorflow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    start = heuristic.search(PROBLEM, iterations=0)
    monkeypatch.setattr(cp_sat.cp_model, "CpSolver", None)
    assert cp_sat.solve(PROBLEM, start, 10.0).optimal


def test_a_process_that_fails_is_an_error(
    after_tensorflow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = heuristic.search(PROBLEM, iterations=0)
    monkeypatch.setattr(own_process, "_CHILD", "raise SystemExit('no room')")
    with pytest.raises(PlanError, match="ended with status 1: no room"):
        cp_sat.solve(PROBLEM, start, 10.0)


def test_versions_that_never_crashed_solve_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp_sat, "_AFTER_TENSORFLOW", True)
    for version, crashes in (("9.7.2996", False), ("9.12.4544", True), ("9.15.6755", True)):
        monkeypatch.setattr(cp_sat.ortools, "__version__", version)
        assert cp_sat._crashes_here() == crashes
