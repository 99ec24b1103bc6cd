# SPDX-License-Identifier: Apache-2.0
"""Buffers that overwrite one another are joined, and a long chain of them costs as much a buffer as
a short one."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.plan.heuristic import _lowest
from converter.plan.planner import place
from converter.plan.problem import (
    Buffer,
    Overwrite,
    PlanError,
    Problem,
    align_up,
    live_bytes,
    live_pairs,
)
from converter.plan.units import unit_choices
from tests.converter.plan.plan_problems import random_problem


class Counted(Buffer):
    """A buffer that counts how often its attributes are read."""

    reads = 0

    def __getattribute__(self, name: str) -> Any:
        Counted.reads += 1
        return super().__getattribute__(name)


def chain(count: int) -> Problem:
    """Each buffer is written in the step in which the one before it is read, over it."""
    buffers = tuple(Counted(f"b{i}", 160, i, i + 2) for i in range(count))
    overwrites = tuple(Overwrite(f"b{i}", f"b{i + 1}") for i in range(count - 1))
    return Problem(buffers, overwrites)


def reads_of(count: int) -> int:
    problem = chain(count)
    Counted.reads = 0
    (unit,), _ = unit_choices(problem)
    assert [d for _, d in unit.members] == [0] * count
    assert set(live_bytes(problem).values()) == {160}
    return Counted.reads


def test_a_chain_takes_work_in_proportion() -> None:
    assert reads_of(800) < 2.2 * reads_of(400)


def collide(problem: Problem, i: int, j: int, at: int, to: int) -> bool:
    """Whether two buffers at these offsets share a byte that no overwriting allows."""
    a, b = problem.buffers[i], problem.buffers[j]
    if not (a.lower < b.upper and b.lower < a.upper):
        return False
    if to >= at + a.size_bytes or at >= to + b.size_bytes:
        return False
    for o in problem.overwrites:
        for before, after, first, second in ((a, b, at, to), (b, a, to, at)):
            if (o.before, o.after) == (before.id, after.id) and (
                first == second if o.margin_bytes is None else second + o.margin_bytes <= first
            ):
                return False
    return True


@given(st.integers(0, 10**9))
def test_what_is_joined_does_not_collide(seed: int) -> None:
    problem = random_problem(seed)
    for units in unit_choices(problem):
        assert sorted(i for u in units for i, _ in u.members) == list(range(len(problem.buffers)))
        for u in units:
            for i, at in u.members:
                assert at % problem.buffers[i].alignment == 0
                assert not any(collide(problem, i, j, at, to) for j, to in u.members if j != i)


@given(st.integers(0, 10**9), st.booleans())
def test_live_bytes_by_their_definition(seed: int, every_step: bool) -> None:
    problem = random_problem(seed, with_overwrites=False)
    grid = min((b.alignment for b in problem.buffers if b.size_bytes), default=1)
    for step, need in live_bytes(problem, 0, every_step).items():
        live = [b.size_bytes for b in problem.buffers if b.lower <= step < b.upper]
        occupied = [align_up(size, grid) for size in live]
        slack = max((up - size for up, size in zip(occupied, live, strict=True)), default=0)
        assert need == sum(occupied) - slack


@given(st.integers(0, 10**9))
def test_live_pairs_by_their_definition(seed: int) -> None:
    buffers = random_problem(seed).buffers
    pairs = itertools.combinations(buffers, 2)
    together = sum(a.lower < b.upper and b.lower < a.upper for a, b in pairs)
    assert live_pairs(Problem(buffers)) == together


@given(st.integers(0, 10**9))
def test_the_lowest_free_offset_by_its_definition(seed: int) -> None:
    rng = random.Random(seed)
    spans = []
    for _ in range(rng.randrange(12)):
        low = rng.randrange(-40, 60)
        high = low + rng.randrange(-3, 50)
        spans.append((low, high, rng.choice((None, rng.randrange(0, 60) // 4 * 4))))
    alignment = rng.choice((1, 4, 16))
    free = (
        at for at in itertools.count(0, alignment)
        if all(at <= low or at >= high or at == same for low, high, same in spans)
    )  # fmt: skip
    assert _lowest(spans, alignment) == next(free)


def test_too_many_buffers_at_a_time_are_refused_at_once() -> None:
    buffers = tuple(Buffer(f"b{i}", 16, i, 4000) for i in range(2000))
    with pytest.raises(PlanError, match="got 1999000 pairs of buffers that live together"):
        place(Problem(buffers))
