# SPDX-License-Identifier: Apache-2.0
"""Of placements that are equally large, one whose much-used buffers lie at low addresses.

Where a board's arena begins in tightly coupled memory and goes on in memory behind a cache (DTCM
and SRAM1 of an STM32F746), the low addresses are the fast ones; elsewhere the order costs nothing.
So a file has one plan for every board: buffers in the order of accesses per byte, as far as
lifetimes and the size of the arena allow.

A resident image lies over the tokens that overwrite it, so that these are at the arena's start, and
operators that work in place leave them there. The first for which the arena has room otherwise, its
input, its output and its scratch side by side, writes its output to the arena's end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from converter.plan.problem import Placement, Problem, align_up, arena_bytes

Group = tuple[int, ...]  # buffers that lie at one offset because each overwrites the one before
Offsets = tuple[int, ...]
MOVED_GROUPS = 3  # that are tried; a network has one residual stream, in stages a few


def arranged(problem: Problem, placement: Placement, accesses: Mapping[str, float]) -> Placement:
    """The placement, or one of the same size whose accesses lie lower.

    Args:
      problem: with one region.
      accesses: bytes loaded and stored, by buffer id; a buffer without is taken as unused.
    """
    groups = _by_density(problem, _groups(problem, placement.offsets), accesses)
    stacked, settled = _stacked(problem, groups), _settled(problem, groups, placement.offsets)
    best = _best(problem, placement, [stacked, settled], accesses)
    # Where the groups are as low as they go, one may go to the end.
    groups = _by_density(problem, _groups(problem, best.offsets), accesses)
    return _best(problem, best, _moved(problem, groups, best), accesses)


def _best(
    problem: Problem,
    placement: Placement,
    others: Iterable[Offsets],
    accesses: Mapping[str, float],
) -> Placement:
    """Of a placement and others, that have to be as large, the one whose accesses lie lowest."""
    fitting = [o for o in others if arena_bytes(problem, o) == placement.arena_bytes]
    best = min(
        [placement.offsets, *fitting], key=lambda offsets: height(problem, offsets, accesses)
    )
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


def _stacked(
    problem: Problem, groups: list[Group], kept: Mapping[int, int] | None = None
) -> Offsets:
    """Group after group beside what is ``kept`` at the lowest offset that those before leave."""
    placed = dict(kept or {})
    for group in groups:
        placed |= dict.fromkeys(group, _lowest(problem, group, placed))
    return tuple(placed[i] for i in range(len(problem.buffers)))


def _settled(problem: Problem, groups: list[Group], offsets: Sequence[int]) -> Offsets:
    """Group after group moved as low as all others leave room."""
    placed = dict(enumerate(offsets))
    for group in groups:
        others = {i: at for i, at in placed.items() if i not in group}
        placed |= dict.fromkeys(group, _lowest(problem, group, others))
    return tuple(placed[i] for i in range(len(problem.buffers)))


def _moved(problem: Problem, groups: list[Group], placement: Placement) -> Iterator[Offsets]:
    """For each of the longest groups the placement in which it goes to the arena's end as early as
    an operator can write there what it may write in place."""
    chains = sorted((g for g in groups if len(g) > 1), key=len, reverse=True)
    for group in chains[:MOVED_GROUPS]:
        for step in sorted({problem.buffers[i].lower for i in group})[1:]:
            later = tuple(i for i in group if problem.buffers[i].lower >= step)
            if kept := _at_the_end(problem, later, step, placement):
                rest = [tuple(i for i in g if i not in kept) for g in groups]
                yield _stacked(problem, [g for g in rest if g], kept)
                break


def _at_the_end(
    problem: Problem, later: Group, step: int, placement: Placement
) -> dict[int, int] | None:
    """Offsets of what is born until a step, which stay, and of those ``later`` ones, which are at
    the end; None where something is there."""
    buffers, offsets = problem.buffers, placement.offsets
    if any(buffers[i].offset is not None for i in later):
        return None
    kept = {i: offsets[i] for i, b in enumerate(buffers) if b.lower <= step and i not in later}
    end = placement.arena_bytes[0] - max(buffers[i].size_bytes for i in later)
    end -= end % max(buffers[i].alignment for i in later)
    if any(begin < end < after for begin, after in _taken(problem, later, kept)):
        return None
    return kept | dict.fromkeys(later, end)


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
