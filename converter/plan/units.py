# SPDX-License-Identifier: Apache-2.0
"""Units: rigid groups of buffers that overwrite one another, and how far apart two must be.

A chain of in-place operators is one rectangle over time: a search places it as a whole. Where a
problem declares no overwriting every buffer is a unit of its own, and nothing is lost.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Iterator, Sequence

from converter.plan.problem import Buffer, Overwrite, Problem, align_up


@dataclasses.dataclass(frozen=True)
class Unit:
    """Buffers at fixed distances: (index, offset from the unit's own)."""

    members: tuple[tuple[int, int], ...]
    alignment: int
    fixed: int | None


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """To be free of ``unit``: above it by ``above``, below it by ``below``, or exactly at ``same``.

    ``above``: own offset >= its offset + above. ``below``: its offset >= own offset + below.
    """

    unit: int
    above: int
    below: int
    same: bool


def single_unit(b: Buffer, i: int) -> Unit:
    """A buffer, the ``i``-th of its problem, that is a unit of its own."""
    return Unit(((i, 0),), b.alignment, b.offset)


def unit_choices(problem: Problem) -> list[list[Unit]]:
    """All chains merged, and nothing merged."""
    single = [single_unit(b, i) for i, b in enumerate(problem.buffers)]
    merged = _merge(problem)
    return [merged, single] if len(merged) < len(single) else [single]


@dataclasses.dataclass
class _Group:
    """Buffers at fixed distances while groups are joined.

    Attributes:
      name: the first buffer's index, by which groups are ordered.
      offsets: of each buffer's index.
      births: (first step, index), ascending.
      longest: steps that a buffer lives at most.
      alignment: least common multiple of the buffers' own, modulo which all offsets are equal.
    """

    name: int
    offsets: dict[int, int]
    births: list[tuple[int, int]]
    longest: int
    alignment: int

    @classmethod
    def of(cls, b: Buffer, i: int) -> _Group:
        return cls(i, {i: 0}, [(b.lower, i)], b.upper - b.lower, b.alignment)

    def alive(self, lower: int, upper: int) -> Iterator[int]:
        """The buffers that may live in the steps [lower, upper)."""
        first = bisect.bisect_left(self.births, (lower - self.longest, -1))
        for at in range(first, len(self.births)):
            birth, i = self.births[at]
            if birth >= upper:
                return
            yield i

    def add(self, other: _Group, shift: int) -> None:
        """Takes another's buffers, which lie ``shift`` further."""
        for birth, i in other.births:
            bisect.insort(self.births, (birth, i))
            self.offsets[i] = other.offsets[i] + shift
        self.longest = max(self.longest, other.longest)
        self.alignment = math.lcm(self.alignment, other.alignment)


def _merge(problem: Problem) -> list[Unit]:
    """Groups buffers along overwrites, larger savings first, where the group stays consistent."""
    group_of = [_Group.of(b, i) for i, b in enumerate(problem.buffers)]

    def saving(o: Overwrite) -> int:
        return min(problem.buffers[problem.index[n]].size_bytes for n in (o.before, o.after))

    for o in sorted(problem.overwrites, key=saving, reverse=True):
        before, after = problem.index[o.before], problem.index[o.after]
        left, right = group_of[before], group_of[after]
        if left is right:
            continue
        step = align_up(o.margin_bytes or 0, problem.buffers[before].alignment)
        shift = left.offsets[before] - step - right.offsets[after]
        if not _consistent(problem, left, right, shift):
            continue
        large, small, by = _ordered(left, right, shift)
        large.add(small, by)
        large.name = left.name
        for i in small.offsets:
            group_of[i] = large
    groups = sorted({g.name: g for g in group_of}.items())
    return [_group_unit(problem, group.offsets) for _, group in groups]


def _ordered(left: _Group, right: _Group, shift: int) -> tuple[_Group, _Group, int]:
    """(larger, smaller, how much further the smaller one lies) where ``right`` lies ``shift``."""
    if len(left.offsets) >= len(right.offsets):
        return left, right, shift
    return right, left, -shift


def _group_unit(problem: Problem, members: dict[int, int]) -> Unit:
    base = min(members.values())
    if len(members) == 1:
        index = next(iter(members))
        return single_unit(problem.buffers[index], index)
    alignment = math.lcm(*(problem.buffers[i].alignment for i in members))
    return Unit(tuple((i, d - base) for i, d in sorted(members.items())), alignment, None)


def _consistent(problem: Problem, left: _Group, right: _Group, shift: int) -> bool:
    """Whether no two members of a joined group collide, are fixed, or differ in region.

    Each of the groups is consistent, so that one member speaks for its region and whether it is
    fixed, and only those that live together are compared.
    """
    a, b = (problem.buffers[next(iter(g.offsets))] for g in (left, right))
    if a.region != b.region or a.offset is not None or b.offset is not None:
        return False
    if not _aligned(left, right, shift):
        return False
    large, small, by = _ordered(left, right, shift)
    for j, offset in small.offsets.items():
        b, to = problem.buffers[j], offset + by
        for i in large.alive(b.lower, b.upper):
            a, at = problem.buffers[i], large.offsets[i]
            if not (a.lower < b.upper and b.lower < a.upper):
                continue
            apart = to >= at + a.size_bytes or at >= to + b.size_bytes
            if not (apart or _may_share(problem, i, j, at, to)):
                return False
    return True


def _aligned(left: _Group, right: _Group, shift: int) -> bool:
    """Whether all offsets are equal modulo every alignment."""
    every = math.lcm(left.alignment, right.alignment)
    first = next(iter(left.offsets.values()))
    if left.alignment == right.alignment:
        return (next(iter(right.offsets.values())) + shift - first) % every == 0
    own = ((d - first) % every == 0 for d in left.offsets.values())
    return all(own) and all((d + shift - first) % every == 0 for d in right.offsets.values())


def _may_share(problem: Problem, i: int, j: int, at: int, to: int) -> bool:
    for before, after, b_at, a_at in ((i, j, at, to), (j, i, to, at)):
        o = problem.overwrite_of.get((before, after))
        if o is None:
            continue
        if b_at == a_at if o.margin_bytes is None else a_at + o.margin_bytes <= b_at:
            return True
    return False


def neighbours_of(problem: Problem, units: Sequence[Unit]) -> list[list[Neighbour]]:
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
    lists: list[list[Neighbour]] = [[] for _ in units]
    for (u, v), (v_above, u_above, same) in found.items():
        lists[u].append(Neighbour(v, u_above, v_above, same))
        lists[v].append(Neighbour(u, v_above, u_above, same))
    return lists
