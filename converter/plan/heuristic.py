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

import dataclasses
import math
import random
from collections.abc import Callable, Sequence

from converter.plan.problem import (
    Buffer,
    Overwrite,
    Placement,
    PlanError,
    Problem,
    align_up,
    arena_bytes,
)

SEARCH_ITERATIONS = 400
SEARCH_WORK = 4_000_000  # pairs of neighbours that may be looked at: seconds, whatever the problem


@dataclasses.dataclass(frozen=True)
class _Unit:
    """Buffers at fixed distances: (index, offset from the unit's own)."""

    members: tuple[tuple[int, int], ...]
    alignment: int
    fixed: int | None


@dataclasses.dataclass(frozen=True)
class _Neighbour:
    """To be free of ``unit``: above it by ``above``, below it by ``below``, or exactly at ``same``.

    ``above``: own offset >= its offset + above. ``below``: its offset >= own offset + below.
    """

    unit: int
    above: int
    below: int
    same: bool


def greedy_by_size(problem: Problem) -> Placement:
    """The baseline: decreasing size, lowest gap, no buffer overwrites another."""
    plain = dataclasses.replace(problem, overwrites=())
    units = [_single(b, i) for i, b in enumerate(plain.buffers)]
    order = sorted(
        range(len(units)),
        key=lambda u: (
            plain.buffers[u].offset is None,
            -plain.buffers[u].size_bytes,
            plain.buffers[u].lower,
        ),
    )
    return _as_placement(problem, units, _place(units, _neighbours(plain, units), order), "greedy")


def search(problem: Problem, seed: int = 0, iterations: int = SEARCH_ITERATIONS) -> Placement:
    """The smallest placement found; never larger than :func:`greedy_by_size`'s."""
    best = greedy_by_size(problem)
    for units in _unit_choices(problem):
        if best.optimal:
            break
        # A generator of its own each, so that more iterations never end with a larger arena.
        found = _search_units(problem, units, random.Random(seed), iterations)
        if sum(found.arena_bytes) < sum(best.arena_bytes):
            best = found
    return best


def _search_units(
    problem: Problem, units: Sequence[_Unit], rng: random.Random, iterations: int
) -> Placement:
    """The best of several orders, then a hill climb from it."""
    neighbours = _neighbours(problem, units)
    best, best_order = None, list[int]()
    for key in _ORDERS:
        order = _sorted(problem, units, key)
        found = _as_placement(problem, units, _place(units, neighbours, order), "heuristic")
        if best is None or sum(found.arena_bytes) < sum(best.arena_bytes):
            best, best_order = found, order
        if best.optimal:
            return best
    assert best is not None
    work = sum(map(len, neighbours)) + 1
    for _ in range(min(iterations, SEARCH_WORK // work)):
        order = _moved(problem, units, neighbours, best, best_order, rng)
        found = _as_placement(problem, units, _place(units, neighbours, order), "heuristic")
        if sum(found.arena_bytes) <= sum(best.arena_bytes):
            best, best_order = found, order
        if best.optimal:
            break
    return best


def _sorted(
    problem: Problem, units: Sequence[_Unit], key: Callable[[Problem, _Unit], float]
) -> list[int]:
    """Fixed units first, then by decreasing key."""
    weights = [key(problem, unit) for unit in units]
    return sorted(range(len(units)), key=lambda u: (units[u].fixed is None, -weights[u]))


def _moved(
    problem: Problem,
    units: Sequence[_Unit],
    neighbours: Sequence[Sequence[_Neighbour]],
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


def _size_key(problem: Problem, unit: _Unit) -> float:
    return max(problem.buffers[i].size_bytes for i, _ in unit.members)


def _area_key(problem: Problem, unit: _Unit) -> float:
    members = (problem.buffers[i] for i, _ in unit.members)
    return sum(b.size_bytes * (b.upper - b.lower) for b in members)


def _life_key(problem: Problem, unit: _Unit) -> float:
    members = [problem.buffers[i] for i, _ in unit.members]
    return max(b.upper for b in members) - min(b.lower for b in members)


def _birth_key(problem: Problem, unit: _Unit) -> float:
    return -min(problem.buffers[i].lower for i, _ in unit.members)


_ORDERS: tuple[Callable[[Problem, _Unit], float], ...] = (
    _area_key,  # first: puts what lives long (tokens) at the bottom, which TFLM can plan around
    _size_key,
    _life_key,
    _birth_key,
)


def _single(b: Buffer, i: int) -> _Unit:
    return _Unit(((i, 0),), b.alignment, b.offset)


def _unit_choices(problem: Problem) -> list[list[_Unit]]:
    """All chains merged, and nothing merged."""
    single = [_single(b, i) for i, b in enumerate(problem.buffers)]
    merged = _merge(problem)
    return [merged, single] if len(merged) < len(single) else [single]


def _merge(problem: Problem) -> list[_Unit]:
    """Groups buffers along overwrites, larger savings first, where the group stays consistent."""
    group_of = list(range(len(problem.buffers)))
    groups: dict[int, dict[int, int]] = {i: {i: 0} for i in group_of}

    def saving(o: Overwrite) -> int:
        return min(problem.buffers[problem.index[n]].size_bytes for n in (o.before, o.after))

    for o in sorted(problem.overwrites, key=saving, reverse=True):
        before, after = problem.index[o.before], problem.index[o.after]
        left, right = group_of[before], group_of[after]
        if left == right:
            continue
        step = align_up(o.margin_bytes or 0, problem.buffers[before].alignment)
        shift = groups[left][before] - step - groups[right][after]
        joined = groups[left] | {i: d + shift for i, d in groups[right].items()}
        if not _consistent(problem, groups[left], {i: joined[i] for i in groups[right]}):
            continue
        groups[left] = joined
        for i in groups.pop(right):
            group_of[i] = left
    return [_group_unit(problem, members) for members in groups.values()]


def _group_unit(problem: Problem, members: dict[int, int]) -> _Unit:
    base = min(members.values())
    alignment = math.lcm(*(problem.buffers[i].alignment for i in members))
    return _Unit(tuple((i, d - base) for i, d in sorted(members.items())), alignment, None)


def _consistent(problem: Problem, left: dict[int, int], right: dict[int, int]) -> bool:
    """Whether no two members of a joined group collide, are fixed, or differ in region."""
    for i, at in left.items():
        a = problem.buffers[i]
        for j, to in right.items():
            b = problem.buffers[j]
            if a.region != b.region or a.offset is not None or b.offset is not None:
                return False
            if (at - to) % a.alignment or (at - to) % b.alignment:
                return False
            if not (a.lower < b.upper and b.lower < a.upper):
                continue
            apart = to >= at + a.size_bytes or at >= to + b.size_bytes
            if not (apart or _may_share(problem, i, j, at, to)):
                return False
    return True


def _may_share(problem: Problem, i: int, j: int, at: int, to: int) -> bool:
    for before, after, b_at, a_at in ((i, j, at, to), (j, i, to, at)):
        o = problem.overwrite_of.get((before, after))
        if o is None:
            continue
        if b_at == a_at if o.margin_bytes is None else a_at + o.margin_bytes <= b_at:
            return True
    return False


def _neighbours(problem: Problem, units: Sequence[_Unit]) -> list[list[_Neighbour]]:
    """For each unit, the units that it must be apart from, and by how much."""
    where = {i: (u, d) for u, unit in enumerate(units) for i, d in unit.members}
    found: dict[tuple[int, int], tuple[int, int, bool]] = {}
    for s in problem.separations:
        (u, du), (v, dv) = where[s.first], where[s.second]
        if u == v:
            continue
        # v above u: off_v + dv >= off_u + du + second_above
        v_above, u_above = du + s.second_above - dv, dv + s.first_above - du
        same = s.same_ok and du == dv
        if u > v:
            u, v, v_above, u_above = v, u, u_above, v_above
        old = found.get((u, v), (0, 0, True))
        found[u, v] = (max(old[0], v_above), max(old[1], u_above), old[2] and same)
    lists: list[list[_Neighbour]] = [[] for _ in units]
    for (u, v), (v_above, u_above, same) in found.items():
        lists[u].append(_Neighbour(v, u_above, v_above, same))
        lists[v].append(_Neighbour(u, v_above, u_above, same))
    return lists


def _place(
    units: Sequence[_Unit], neighbours: Sequence[Sequence[_Neighbour]], order: Sequence[int]
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
    for offset in sorted(tries):
        if all(offset <= low or offset >= high or offset == same for low, high, same in spans):
            return offset
    raise PlanError("no offset above every placed buffer is free; this is a bug")


def _as_placement(
    problem: Problem, units: Sequence[_Unit], unit_offsets: Sequence[int], method: str
) -> Placement:
    offsets = [0] * len(problem.buffers)
    for unit, base in zip(units, unit_offsets, strict=True):
        for i, delta in unit.members:
            offsets[i] = base + delta
    return Placement(
        tuple(offsets), arena_bytes(problem, offsets), problem.lower_bound_bytes, method
    )
