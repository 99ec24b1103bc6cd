# SPDX-License-Identifier: Apache-2.0
"""The planners against the validator, the greedy baseline, and one another."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan import cp_sat, heuristic, planner, regions
from converter.plan.problem import Buffer, Overwrite, PlanError, PlanRegion, Problem, live_bytes
from converter.plan.validate import violations
from tests.converter.plan.plan_problems import random_problem


def test_never_worse_than_greedy_on_1000_random_problems():
    smaller = 0
    for seed in range(1000):
        problem = random_problem(seed)
        greedy = heuristic.greedy_by_size(problem)
        found = heuristic.search(problem, iterations=40)
        assert violations(problem, greedy.offsets) == []
        assert violations(problem, found.offsets) == []
        assert greedy.lower_bound_bytes <= found.arena_bytes <= greedy.arena_bytes, seed
        smaller += found.arena_bytes < greedy.arena_bytes
    assert smaller > 300  # overwriting alone makes many of them smaller


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 9), st.booleans())
def test_exact_search_proves_and_never_beats_the_bound(seed, most_buffers, overwriting):
    problem = random_problem(seed, most_buffers, overwriting)
    start = heuristic.search(problem, iterations=20)
    # The bound is withheld, so that CP-SAT's proof is independent of it.
    blind = dataclasses.replace(start, lower_bound_bytes=(0,))
    exact = cp_sat.solve(problem, blind, 20.0)
    assert violations(problem, exact.offsets) == []
    assert exact.optimal
    assert problem.lower_bound_bytes <= exact.arena_bytes <= start.arena_bytes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**9))
def test_plan_is_reproducible_and_never_worse_than_greedy(seed):
    problem = random_problem(seed)
    first = planner.place(problem, time_limit_s=5.0)
    assert first == planner.place(problem, time_limit_s=5.0)
    assert first.arena_bytes <= heuristic.greedy_by_size(problem).arena_bytes


def chain(length=20, size=1000, scratch=300):
    """Tokens overwritten by each operator in turn, with scratch in every step."""
    tokens = [Buffer(f"t{i}", size, i, i + 2) for i in range(length)]
    scratches = [Buffer(f"s{i}", scratch, i, i + 1) for i in range(1, length)]
    overwrites = [Overwrite(f"t{i}", f"t{i + 1}") for i in range(length - 1)]
    return Problem((*tokens, *scratches), tuple(overwrites))


def test_a_chain_of_in_place_operators_takes_one_place():
    problem = chain()
    placement = planner.place(problem, time_limit_s=0)
    assert placement.arena_bytes == (304 + 1000,)  # the tokens on top need no rounding
    assert placement.optimal
    assert len({placement.offsets[i] for i in range(20)}) == 1


def test_without_overwriting_the_chain_needs_two():
    problem = dataclasses.replace(chain(), overwrites=())
    assert planner.place(problem).arena_bytes == (1008 + 304 + 1000,)


def test_tokens_before_the_image_by_the_margin():
    problem = Problem(
        (Buffer("image", 1600, 0, 1), Buffer("tokens", 800, 0, 3), Buffer("scratch", 64, 0, 1)),
    )
    with pytest.raises(PlanError, match="one common step"):
        dataclasses.replace(problem, overwrites=(Overwrite("image", "tokens", 100),))
    buffers = (
        Buffer("image", 1600, 0, 2),
        Buffer("tokens", 800, 1, 3),
        Buffer("scratch", 64, 1, 2),
    )
    problem = Problem(buffers, (Overwrite("image", "tokens", 100),))
    placement = planner.place(problem, time_limit_s=5)
    assert placement.arena_bytes == (112 + 1600 + 64,)  # the margin, rounded up to 16
    assert placement.offsets[0] - placement.offsets[1] >= 100
    assert placement.optimal


def test_fixed_offsets_are_kept_and_regions_are_separate():
    problem = Problem(
        (
            Buffer("a", 100, 0, 2, offset=64),
            Buffer("b", 64, 0, 2),
            Buffer("c", 500, 0, 2, region=1),
        ),
        regions=(PlanRegion("dtcm", 1024), PlanRegion("sram")),
    )
    placement = planner.place(problem)
    assert placement.offsets == (64, 0, 0)
    assert placement.arena_bytes == (164, 500)


def test_too_small_a_region_is_an_error_with_both_figures():
    problem = Problem((Buffer("a", 100, 0, 1),), regions=(PlanRegion("dtcm", 99),))
    with pytest.raises(PlanError, match=r"dtcm.* 100 bytes.* 99"):
        planner.place(problem)


def test_colliding_fixed_offsets_are_an_error():
    problem = Problem((Buffer("a", 100, 0, 2, offset=0), Buffer("b", 100, 1, 2, offset=16)))
    with pytest.raises(PlanError, match=r"unsafe plan: a .* b .* share bytes"):
        planner.place(problem)


def test_live_bytes_names_the_peak_step():
    problem = Problem((Buffer("a", 32, 0, 2), Buffer("b", 64, 1, 3), Buffer("c", 16, 2, 3)))
    assert live_bytes(problem) == {0: 32, 1: 96, 2: 80}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size_bytes": -1}, "expected >= 0"),
        ({"upper": 0}, "lower < upper"),
        ({"alignment": 0}, "expected >= 1"),
        ({"offset": 8}, "multiple of 16"),
    ],
)
def test_impossible_buffers_are_refused(kwargs, message):
    with pytest.raises(PlanError, match=message):
        Buffer(**({"id": "a", "size_bytes": 1, "lower": 0, "upper": 1} | kwargs))


def test_impossible_problems_are_refused():
    a = Buffer("a", 1, 0, 1)
    with pytest.raises(PlanError, match="twice"):
        Problem((a, a))
    with pytest.raises(PlanError, match="region 1"):
        Problem((dataclasses.replace(a, region=1),))
    with pytest.raises(PlanError, match="no buffer z"):
        Problem((a,), (Overwrite("a", "z"),))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.floats(0.2, 1.0))
def test_spreading_over_regions_keeps_each_capacity(seed, share):
    problem = random_problem(seed)
    whole = heuristic.search(problem, iterations=20).arena_bytes[0]
    fast = PlanRegion("fast", int(whole * share))
    spread = regions.spread(problem, (fast, PlanRegion("slow")), lambda b: b.size_bytes)
    placement = planner.place(spread, time_limit_s=0)
    assert violations(spread, placement.offsets) == []
    assert placement.arena_bytes[0] <= fast.capacity_bytes
    where = {b.id: b.region for b in spread.buffers}
    assert all(where[o.before] == where[o.after] for o in spread.overwrites)


def test_who_gains_more_gets_the_fast_region():
    problem = Problem((Buffer("a", 32, 0, 2), Buffer("b", 32, 1, 3)))
    fast, slow = PlanRegion("fast", 32), PlanRegion("slow")
    for wins in "ab":
        spread = regions.spread(problem, (fast, slow), lambda b, wins=wins: b.id == wins)
        assert {b.id: b.region for b in spread.buffers} == {x: int(x != wins) for x in "ab"}


def test_the_greedy_baseline_overwrites_nothing():
    """As TFLM's planner, which knows no operator in place."""
    problem = Problem((Buffer("a", 32, 0, 2), Buffer("b", 32, 1, 3)), (Overwrite("a", "b"),))
    assert heuristic.greedy_by_size(problem).arena_bytes[0] == 64
    assert heuristic.search(problem).arena_bytes[0] == 32
