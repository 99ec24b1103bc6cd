# SPDX-License-Identifier: Apache-2.0
"""The search by sections: against brute force, its twin in C, the validator and the bounds."""

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan import cp_sat, heuristic, planner, sections
from converter.plan.problem import Buffer, Overwrite, PlanRegion, Problem
from converter.plan.sections import minimize, native
from converter.plan.sections.instance import MOST_BYTES, instance_of
from converter.plan.sections.search import SearchStatus, search
from converter.plan.units import unit_choices
from converter.plan.validate import violations
from tests.converter.plan.plan_problems import random_problem

SEEDS = st.integers(0, 10**9)


def brute_force(problem: Problem) -> int:
    """The smallest arena of any placement, by trying every offset; the validator judges."""
    top = heuristic.greedy_by_size(problem).arena_bytes[0]
    parts = []
    for count in range(1, len(problem.buffers) + 1):
        names = {b.id for b in problem.buffers[:count]}
        related = tuple(o for o in problem.overwrites if {o.before, o.after} <= names)
        parts.append(Problem(problem.buffers[:count], related))

    def smallest(placed: tuple[int, ...], arena: int, best: int) -> int:
        if len(placed) == len(problem.buffers):
            return min(best, arena)
        part = parts[len(placed)]
        size = part.buffers[-1].size_bytes
        for offset in range(best - size):
            found = (*placed, offset)
            if not violations(part, found):
                best = smallest(found, max(arena, offset + size), best)
        return best

    return smallest((), 0, top)


def tiny_problem(seed: int, overwriting: bool) -> Problem:
    rng = random.Random(seed)
    buffers = []
    for i in range(rng.randint(2, 4)):
        lower = rng.randint(0, 3)
        upper = rng.randint(lower + 1, 5)
        buffers.append(Buffer(f"b{i}", rng.randint(1, 4), lower, upper, rng.choice((1, 1, 2))))
    pairs = [(a, b) for a, b in itertools.permutations(buffers, 2) if a.lower < b.lower]
    overwrites = [
        Overwrite(a.id, b.id, rng.choice((None, 0, 1)))
        for a, b in pairs
        if overwriting and b.lower == a.upper - 1
    ]
    return Problem(tuple(buffers), tuple(overwrites))


def pinned(problem: Problem, seed: int) -> Problem:
    """Some buffers fixed where a placement has them."""
    rng = random.Random(seed)
    offsets = heuristic.search(problem, iterations=5).offsets
    buffers = tuple(
        dataclasses.replace(b, offset=at) if rng.random() < 0.3 else b
        for b, at in zip(problem.buffers, offsets, strict=True)
    )
    return dataclasses.replace(problem, buffers=buffers)


def start_of(problem: Problem) -> heuristic.Placement:
    """The greedy placement with the lower bound withheld, so that the search has to prove."""
    return dataclasses.replace(heuristic.greedy_by_size(problem), lower_bound_bytes=(0,))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_finds_and_proves_what_brute_force_finds(seed):
    problem = tiny_problem(seed, overwriting=False)
    found = sections.improve(problem, start_of(problem), 5.0)
    assert violations(problem, found.offsets) == []
    assert found.arena_bytes == (brute_force(problem),) == found.lower_bound_bytes


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_planner_equals_brute_force_with_overwriting(seed):
    problem = tiny_problem(seed, overwriting=True)
    placement = planner.place(problem, time_limit_s=2.0)
    assert placement.arena_bytes == (brute_force(problem),)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans(), st.booleans())
def test_is_valid_and_between_bound_and_start(seed, overwriting, pins):
    problem = random_problem(seed, 14, overwriting)
    problem = pinned(problem, seed) if pins else problem
    start = heuristic.search(problem, iterations=1)
    # With overwriting the search has nothing to prove; what it is told is all it may say.
    found = sections.improve(problem, start, 0.02, seed)
    assert violations(problem, found.offsets) == []
    assert problem.lower_bound_bytes <= found.lower_bound_bytes <= found.arena_bytes
    assert found.arena_bytes <= start.arena_bytes
    if problem.overwrites:
        assert found.lower_bound_bytes == problem.lower_bound_bytes


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.booleans())
def test_a_bound_is_never_above_what_cp_sat_finds(seed, pins):
    problem = random_problem(seed, 10, with_overwrites=False)
    problem = pinned(problem, seed) if pins else problem
    proven = sections.improve(problem, start_of(problem), 0.5)
    exact = cp_sat.solve(problem, start_of(problem), 20.0)
    assert exact.optimal
    assert proven.lower_bound_bytes <= exact.arena_bytes <= proven.arena_bytes
    if proven.optimal:
        assert proven.arena_bytes == exact.arena_bytes


@pytest.mark.skipif(not native.available(), reason="no C compiler")
@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans(), st.booleans(), st.floats(1.0, 1.2), st.integers(10, 2000))
def test_c_does_what_python_does(seed, overwriting, pins, room, limit):
    problem = random_problem(seed, 20, overwriting)
    problem = pinned(problem, seed) if pins else problem
    capacity = int(problem.lower_bound_bytes[0] * room)
    for units in unit_choices(problem):
        instance = instance_of(problem, units)
        if instance is None:
            continue
        rounds = minimize.orders(instance, seed)
        for order in (*next(rounds), *next(rounds)):
            slow = search(instance, order, capacity, limit)
            assert native.search(instance, order, capacity, limit) == slow


def halves(seed: int, cuts: int, side: int = 4096) -> Problem:
    """Rectangles of time and bytes that fill ``side`` bytes without a hole, cut at random."""
    rng = random.Random(seed)
    whole = [(0, 64, side)]
    for _ in range(cuts):
        lower, upper, size = whole.pop(rng.randrange(len(whole)))
        if upper - lower > 1 and rng.random() < 0.5:
            middle = rng.randint(lower + 1, upper - 1)
            whole += [(lower, middle, size), (middle, upper, size)]
        else:
            middle = rng.randint(0, size)
            whole += [(lower, upper, part) for part in (middle, size - middle) if part]
    return Problem(tuple(Buffer(f"b{i}", z, a, b, 1) for i, (a, b, z) in enumerate(whole)))


@pytest.mark.parametrize("forced_python", [False, True])
def test_full_memory_is_packed_without_a_hole(monkeypatch, forced_python):
    """Where every section is full, the order of placement that the quick orders try fails."""
    if forced_python:
        monkeypatch.setattr(native, "available", lambda: False)
    problem = halves(3, 40)
    start = heuristic.greedy_by_size(problem)
    assert start.arena_bytes > (4096,)
    found = sections.improve(problem, start, 5.0)
    assert found.arena_bytes == (4096,)
    assert violations(problem, found.offsets) == []


def test_within_ends_at_the_capacity():
    problem = halves(3, 40)
    start = heuristic.greedy_by_size(problem)
    room = start.arena_bytes[0] - 1
    found = minimize.within(problem, start, room, 10.0)
    assert found.arena_bytes[0] <= room
    assert minimize.within(problem, found, room, 10.0) == found


def test_an_exhausted_search_says_that_nothing_fits():
    buffers = (Buffer("a", 3, 0, 2, 1), Buffer("b", 3, 1, 3, 1), Buffer("c", 1, 0, 1, 1))
    problem = Problem(buffers)
    instance = instance_of(problem, unit_choices(problem)[0])
    order = next(next(minimize.orders(instance, 0)))
    assert search(instance, order, 5, 10**6).status == SearchStatus.NONE
    assert search(instance, order, 6, 10**6).status == SearchStatus.FOUND
    assert search(instance, order, 6, 0).status == SearchStatus.LIMIT


def test_too_large_and_empty_problems_are_left_alone():
    huge = Problem((Buffer("a", MOST_BYTES, 0, 1), Buffer("b", MOST_BYTES, 0, 1)))
    for problem in (huge, Problem(()), Problem((Buffer("a", 0, 0, 1),))):
        start = heuristic.greedy_by_size(problem)
        assert sections.improve(problem, start, 1.0) == start
    assert planner.place(huge, 0.1).arena_bytes == (2 * MOST_BYTES,)


def test_capacity_of_a_region_is_tried_first():
    problem = halves(3, 60)
    least = planner.place(problem, 0).arena_bytes[0]
    room = dataclasses.replace(problem, regions=(PlanRegion("memory", 4096),))
    assert least > 4096  # the quick orders alone do not fit
    assert planner.place(room, 10.0).arena_bytes == (4096,)
