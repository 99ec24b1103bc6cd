# SPDX-License-Identifier: Apache-2.0
"""Kills find what is wrong, lost or refused after one; the cases themselves run by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.kills import events
from benchmarks.kills.campaign import Campaign, Outcome
from benchmarks.kills.case import Case
from benchmarks.kills.cases import needed_for


def outcomes(folder: Path, how: str) -> list[Outcome]:
    """Of a kill at every moment of `two_files`, and of two at random times."""
    case = Case("two", "tests.benchmarks.two_files", lambda base, run: [f"{run}/out", how])
    (folder / "base").mkdir(parents=True)
    (folder / "work").mkdir()
    campaign = Campaign(case, folder / "base", folder / "work", folder / "cache")
    campaign.uninterrupted()
    return list(campaign.outcomes(campaign.kills(named=30, at_random=2, seed=0)))


def test_a_command_that_writes_whole_files_is_right_wherever_it_is_killed(tmp_path: Path) -> None:
    found = outcomes(tmp_path, "whole")
    assert {o.where for o in found} == {
        "make folder out", "open .partial-*", "rename first", "rename second.json", "at random",
    }  # fmt: skip
    assert sum(o.kills for o in found) >= len(found) - 2  # a random time may be after the end
    assert all(o.right for o in found), found


def test_what_a_kill_spoils_is_found(tmp_path: Path) -> None:
    parts = outcomes(tmp_path / "parts", "parts")
    wrong = {o.where: o.wrong for o in parts if not o.right}
    # Killed before the second letter: the next run takes the first one for the whole file.
    assert wrong == {"open first": ("first", "second.json")}
    refused = outcomes(tmp_path / "refuses", "refuses")
    assert all(o.refused == "nothing to resume" for o in refused)


def test_moments_are_chosen_with_renames_first() -> None:
    names = ["open a"] * 50 + ["rename b", "rename b", "rename b", "open c", "call renameat2"]
    for wanted, expected in ((3, {50, 52, 54}), (6, {0, 49, 50, 52, 53, 54})):
        assert set(events.chosen(names, wanted, random.Random(0))) == expected
    assert len(events.chosen(names, 100, random.Random(0))) == len(names)


def test_cases_come_with_those_whose_results_they_take() -> None:
    assert [c.name for c in needed_for(["export"])] == [
        "train", "quantize", "fuse", "old_export", "export",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no case of, expected some of train, "):
        needed_for(["of", "train"])
