# SPDX-License-Identifier: Apache-2.0
"""The planner's benchmark: a sample of its random problems, its command, and its record."""

import json
import pathlib

import pytest

from benchmarks import planner, planner_table
from converter.plan.problem import PlanError


def test_sample_of_random_problems_is_never_above_greedy():
    sample = planner.sampled(8, seed=5, limit_s=0.02)
    assert sample.larger == 0
    assert sample.smaller > 0
    assert sample.smaller + sample.equal == sample.problems == 8


def test_command_reads_a_folder_and_records(tmp_path):
    (tmp_path / "two.6.csv").write_text("id,lower,upper,size\na,0,2,3\nb,1,3,3\nc,0,1,3\n")
    out = tmp_path / "out.json"
    limits = ["--random_problems=2", "--problem_limit_s=1"]
    planner.main([f"--problems={tmp_path}", *limits, f"--json={out}"])
    report = json.loads(out.read_text())
    (result,) = report["results"]
    assert (result["problem"], result["bytes"], result["proven"]) == ("two", 6, True)
    assert report["fitting"] == 1
    assert report["random"]["larger"] == 0


def test_a_capacity_is_in_the_files_name(tmp_path):
    assert planner.named_capacity(pathlib.Path("A.1048576.csv")) == 1048576
    with pytest.raises(PlanError, match=r"NAME\.CAPACITY\.csv"):
        planner.named_capacity(tmp_path / "A.csv")


def test_page_has_the_recorded_results():
    text = planner_table.PAGE.read_text()
    assert planner_table.render(text) == text, "run: python -m benchmarks.planner_table"
