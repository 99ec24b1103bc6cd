# SPDX-License-Identifier: Apache-2.0
"""Fast placements: the greedy baseline, and a search over placement orders.

``greedy_by_size`` is what TensorFlow Lite Micro's GreedyMemoryPlanner does at run time: buffers by
decreasing size, each at the lowest free offset; it knows no overwriting.

``search`` places *units*: rigid groups of buffers that overwrite one another (a chain of in-place
operators is one rectangle over time). It tries several orders, then improves the best one:

    repeat: take a unit that reaches the top of the arena, or one below it that blocks it;
            move it to a random earlier place in the order; place all again;
            keep the new order unless the arena grew
    until the lower bound is met or the iterations are used up

The idea of a search over orders follows ethos-u-vela's hill climb allocator.
"""

from __future__ import annotations

import bisect
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Sequence

from converter.plan.problem import (
    Placement,
    PlanError,
    Problem,
    align_up,
    arena_bytes,
)
from converter.plan.units import Neighbour, Unit, neighbours_of, single_unit, unit_choices

SEARCH_ITERATIONS = 400
SEARCH_WORK = 4_000_000  # pairs of neighbours that may be looked at: seconds, whatever the problem


def greedy_by_size(problem: Problem) -> Placement:
    """The baseline: decreasing size, lowest gap, no buffer overwrites another."""
    plain = dataclasses.replace(problem, overwrites=())
    units = [single_unit(b, i) for i, b in enumerate(plain.buffers)]
    order = sorted(
        range(len(units)),
        key=lambda u: (
            plain.buffers[u].offset is None,
            -plain.buffers[u].size_bytes,
            plain.buffers[u].lower,
        ),
    )
    return as_placement(problem, units, _place(units, neighbours_of(plain, units), order), "greedy")


def search(problem: Problem, seed: int = 0, iterations: int = SEARCH_ITERATIONS) -> Placement:
    """The smallest placement found; never larger than :func:`greedy_by_size`'s."""
    best = greedy_by_size(problem)
    for units in unit_choices(problem):
        if best.optimal:
            break
        # A generator of its own each, so that more iterations never end with a larger arena.
        found = _search_units(problem, units, random.Random(seed), iterations)
        if sum(found.arena_bytes) < sum(best.arena_bytes):
            best = found
    return best


def _search_units(
    problem: Problem, units: Sequence[Unit], rng: random.Random, iterations: int
) -> Placement:
    """The best of several orders, then a hill climb from it."""
    neighbours = neighbours_of(problem, units)
    best, best_order = None, list[int]()
    for key in _ORDERS:
        order = _sorted(problem, units, key)
        found = as_placement(problem, units, _place(units, neighbours, order), "heuristic")
        if best is None or sum(found.arena_bytes) < sum(best.arena_bytes):
            best, best_order = found, order
        if best.optimal:
            return best
    assert best is not None
    work = sum(map(len, neighbours)) + 1
    for _ in range(min(iterations, SEARCH_WORK // work)):
        order = _moved(problem, units, neighbours, best, best_order, rng)
        found = as_placement(problem, units, _place(units, neighbours, order), "heuristic")
        if sum(found.arena_bytes) <= sum(best.arena_bytes):
            best, best_order = found, order
        if best.optimal:
            break
    return best


def _sorted(
    problem: Problem, units: Sequence[Unit], key: Callable[[Problem, Unit], float]
) -> list[int]:
    """Fixed units first, then by decreasing key."""
    weights = [key(problem, unit) for unit in units]
    return sorted(range(len(units)), key=lambda u: (units[u].fixed is None, -weights[u]))


def _moved(
    problem: Problem,
    units: Sequence[Unit],
    neighbours: Sequence[Sequence[Neighbour]],
    placed: Placement,
    order: list[int],
    rng: random.Random,
) -> list[int]:
    """The order with one unit at the top, or one that blocks it, moved to an earlier place."""
    top = [
        u
        for u, unit in enumerate(units)
        if unit.fixed is None
        and any(
            placed.offsets[i] + problem.buffers[i].size_bytes
            == placed.arena_bytes[problem.buffers[i].region]
            for i, _ in unit.members
        )
    ]
    if not top:
        return order
    unit = rng.choice(top)
    if rng.random() < 0.5 and neighbours[unit]:
        unit = rng.choice(neighbours[unit]).unit
    if units[unit].fixed is not None:
        return order
    first = sum(u.fixed is not None for u in units)  # fixed units stay in front
    moved = [u for u in order if u != unit]
    moved.insert(rng.randint(first, max(first, order.index(unit))), unit)
    return moved


def _size_key(problem: Problem, unit: Unit) -> float:
    return max(problem.buffers[i].size_bytes for i, _ in unit.members)


def _area_key(problem: Problem, unit: Unit) -> float:
    members = (problem.buffers[i] for i, _ in unit.members)
    return sum(b.size_bytes * (b.upper - b.lower) for b in members)


def _life_key(problem: Problem, unit: Unit) -> float:
    members = [problem.buffers[i] for i, _ in unit.members]
    return max(b.upper for b in members) - min(b.lower for b in members)


def _birth_key(problem: Problem, unit: Unit) -> float:
    return -min(problem.buffers[i].lower for i, _ in unit.members)


_ORDERS: tuple[Callable[[Problem, Unit], float], ...] = (
    _area_key,  # first: puts what lives long (tokens) at the bottom, which TFLM can plan around
    _size_key,
    _life_key,
    _birth_key,
)


def _place(
    units: Sequence[Unit], neighbours: Sequence[Sequence[Neighbour]], order: Sequence[int]
) -> list[int]:
    """Each unit, in order, at the lowest offset that its placed neighbours leave free."""
    offsets: list[int | None] = [None] * len(units)
    for u in order:
        fixed = units[u].fixed
        if fixed is not None:
            offsets[u] = fixed
            continue
        spans = []  # open intervals of forbidden offsets, with the offset allowed inside
        for n in neighbours[u]:
            at = offsets[n.unit]
            if at is not None:
                spans.append((at - n.below, at + n.above, at if n.same else None))
        offsets[u] = _lowest(spans, units[u].alignment)
    return [o for o in offsets if o is not None]


def _lowest(spans: list[tuple[int, int, int | None]], alignment: int) -> int:
    """The lowest multiple of ``alignment`` in no open span (low, high), save at its exception."""
    tries = {0}
    for _, high, same in spans:
        tries.add(align_up(max(high, 0), alignment))
        if same is not None and same % alignment == 0:
            tries.add(same)
    real = [span for span in spans if span[0] < span[1]]
    lows, highs = sorted(low for low, _, _ in real), sorted(high for _, high, _ in real)
    allowed = Counter(same for low, high, same in real if same is not None and low < same < high)
    for offset in sorted(tries):
        # As many spans hold the offset as begin before it and do not end up to it.
        around = bisect.bisect_left(lows, offset) - bisect.bisect_right(highs, offset)
        if around == allowed[offset]:
            return offset
    raise PlanError("no offset above every placed buffer is free; this is a bug")


def as_placement(
    problem: Problem, units: Sequence[Unit], unit_offsets: Sequence[int], method: str
) -> Placement:
    """Of offsets of units."""
    offsets = [0] * len(problem.buffers)
    for unit, base in zip(units, unit_offsets, strict=True):
        for i, delta in unit.members:
            offsets[i] = base + delta
    return Placement(
        tuple(offsets), arena_bytes(problem, offsets), problem.lower_bound_bytes, method
    )
