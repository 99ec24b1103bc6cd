# SPDX-License-Identifier: Apache-2.0
"""Of placements that are equally large, one whose much-used buffers lie at low addresses.

Where a board's arena begins in tightly coupled memory and goes on in memory behind a cache (DTCM
and SRAM1 of an STM32F746), the low addresses are the fast ones; elsewhere the order costs nothing.
So a file has one plan for every board: buffers in the order of accesses per byte, as far as
lifetimes and the size of the arena allow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from converter.plan.problem import Placement, Problem, align_up, arena_bytes

Group = tuple[int, ...]  # buffers that lie at one offset because each overwrites the one before


def arranged(problem: Problem, placement: Placement, accesses: Mapping[str, float]) -> Placement:
    """The placement, or one of the same size whose accesses lie lower.

    Args:
      problem: with one region.
      accesses: bytes loaded and stored, by buffer id; a buffer without is taken as unused.
    """
    (limit,) = placement.arena_bytes
    groups = _by_density(problem, _groups(problem, placement.offsets), accesses)
    candidates = [
        placement.offsets,
        _stacked(problem, groups),
        _settled(problem, groups, placement.offsets),
    ]
    fitting = [c for c in candidates if arena_bytes(problem, c) == (limit,)]
    best = min(fitting, key=lambda offsets: height(problem, offsets, accesses))
    return dataclasses.replace(placement, offsets=tuple(best))


def height(problem: Problem, offsets: Sequence[int], accesses: Mapping[str, float]) -> float:
    """Accesses times the address at which they are on average."""
    return sum(
        accesses.get(b.id, 0.0) * (at + b.size_bytes / 2)
        for b, at in zip(problem.buffers, offsets, strict=True)
    )


def _groups(problem: Problem, offsets: Sequence[int]) -> list[Group]:
    """Buffers that a placement has at one offset because they overwrite one another."""
    leader = list(range(len(problem.buffers)))

    def find(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for (before, after), overwrite in problem.overwrite_of.items():
        if overwrite.margin_bytes is None and offsets[before] == offsets[after]:
            leader[find(after)] = find(before)
    found: dict[int, list[int]] = {}
    for i in range(len(problem.buffers)):
        found.setdefault(find(i), []).append(i)
    return [tuple(members) for members in found.values()]


def _by_density(
    problem: Problem, groups: list[Group], accesses: Mapping[str, float]
) -> list[Group]:
    """Groups at fixed offsets first, then by accesses per byte, the most used first."""

    def key(group: Group) -> tuple[bool, float, int]:
        buffers = [problem.buffers[i] for i in group]
        size = max(b.size_bytes for b in buffers)
        density = sum(accesses.get(b.id, 0.0) for b in buffers) / max(size, 1)
        return all(b.offset is None for b in buffers), -density, min(group)

    return sorted(groups, key=key)


def _stacked(problem: Problem, groups: list[Group]) -> tuple[int, ...]:
    """Group after group at the lowest offset that those before leave."""
    placed: dict[int, int] = {}
    for group in groups:
        placed |= dict.fromkeys(group, _lowest(problem, group, placed))
    return tuple(placed[i] for i in range(len(problem.buffers)))


def _settled(problem: Problem, groups: list[Group], offsets: Sequence[int]) -> tuple[int, ...]:
    """Group after group moved as low as all others leave room."""
    placed = dict(enumerate(offsets))
    for group in groups:
        others = {i: at for i, at in placed.items() if i not in group}
        placed |= dict.fromkeys(group, _lowest(problem, group, others))
    return tuple(placed[i] for i in range(len(problem.buffers)))


def _lowest(problem: Problem, group: Group, placed: Mapping[int, int]) -> int:
    """The lowest offset at which a group shares no byte with what lives beside it."""
    fixed = [b.offset for b in (problem.buffers[i] for i in group) if b.offset is not None]
    if fixed:
        return fixed[0]
    alignment = max(problem.buffers[i].alignment for i in group)
    offset = 0
    for begin, end in sorted(_taken(problem, group, placed)):
        if begin < offset < end:
            offset = align_up(end, alignment)
    return offset


def _taken(problem: Problem, group: Group, placed: Mapping[int, int]) -> list[tuple[int, int]]:
    """Open intervals in which the group's offset must not lie."""
    members, found = set(group), []
    for s in problem.separations:
        if s.first in members and s.second in placed:
            at = placed[s.second]
            found.append((at - s.second_above, at + s.first_above))
        elif s.second in members and s.first in placed:
            at = placed[s.first]
            found.append((at - s.first_above, at + s.second_above))
    return found
