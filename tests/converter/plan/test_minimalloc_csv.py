# SPDX-License-Identifier: Apache-2.0
"""minimalloc's CSV, in and out."""

import pytest

from converter.plan import minimalloc_csv, planner
from converter.plan.problem import Buffer, PlanError, Problem
from tests.converter.plan.plan_problems import random_problem

EXAMPLE = """id,lower,upper,size
b1,0,3,4
b2,3,9,4
b3,0,9,4
b4,9,21,4
b5,0,21,4
"""


def test_the_example_of_its_documentation():
    problem = minimalloc_csv.reads(EXAMPLE)
    assert problem.buffers[1] == Buffer("b2", 4, 3, 9, alignment=1)
    assert planner.place(problem).arena_bytes == (12,)


def test_round_trip():
    for seed in range(50):
        problem = random_problem(seed, with_overwrites=False)
        assert minimalloc_csv.reads(minimalloc_csv.writes(problem)) == problem


def test_a_written_plan_reads_back_as_fixed_offsets():
    problem = random_problem(3, with_overwrites=False)
    placement = planner.place(problem)
    fixed = minimalloc_csv.reads(minimalloc_csv.writes(problem, placement.offsets))
    assert tuple(b.offset for b in fixed.buffers) == placement.offsets
    assert planner.place(fixed).offsets == placement.offsets


def test_partly_fixed_round_trip():
    problem = Problem((Buffer("a", 4, 0, 1, 1, offset=8), Buffer("b", 4, 0, 1, 1)))
    assert minimalloc_csv.reads(minimalloc_csv.writes(problem)) == problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("id,lower,upper\n", "header"),
        ("id,lower,upper,size,gaps\n", "header"),
        ("id,lower,upper,size\na,0,1\n", "line 2"),
        ("id,lower,upper,size\na,0,1,x\n", "line 2, size: got 'x'"),
        ("id,lower,upper,size\na,0,1,\n", "line 2: size is empty"),
        ("id,lower,upper,size\na,1,1,4\n", "lower < upper"),
        ("id,lower,upper,size\na,0,1,4\na,0,1,4\n", "twice"),
    ],
)
def test_malformed_files_name_the_line(text, message):
    with pytest.raises(PlanError, match=message):
        minimalloc_csv.reads(text)
