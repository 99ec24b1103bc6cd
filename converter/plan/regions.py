# SPDX-License-Identifier: Apache-2.0
"""Spreads buffers over several memories, for example DTCM before SRAM.

Buffers that may overwrite one another form a group and stay together. Groups are taken in order of
priority; each goes into the first memory in which a placement of all that is there still fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from converter.plan import heuristic
from converter.plan.problem import Buffer, PlanError, PlanRegion, Problem, part_of

SEARCH_ITERATIONS = 40  # per group and memory; the final placement searches longer


def spread(
    problem: Problem, regions: tuple[PlanRegion, ...], priority: Callable[[Buffer], float]
) -> Problem:
    """The problem with a region for each buffer.

    Args:
      regions: fastest first.
      priority: larger for buffers that gain more from fast memory.

    Raises:
      PlanError: a group fits nowhere; the message names its largest buffer.
    """
    problem = dataclasses.replace(problem, regions=regions)
    chosen: dict[str, int] = {}
    for group in sorted(_groups(problem), key=lambda g: max(map(priority, g)), reverse=True):
        names = {b.id for b in group}
        for number, region in enumerate(regions):
            there = {n for n, r in chosen.items() if r == number} | names
            if _fits(part_of(problem, there, number), region):
                chosen |= dict.fromkeys(names, number)
                break
        else:
            largest = max(group, key=lambda b: b.size_bytes)
            sizes = ", ".join(f"{r.name} {r.capacity_bytes}" for r in regions)
            raise PlanError(
                f"regions: {largest.id} ({largest.size_bytes} bytes) and what overwrites it fit "
                f"into none of {sizes} bytes beside the other buffers"
            )
    buffers = tuple(dataclasses.replace(b, region=chosen[b.id]) for b in problem.buffers)
    return dataclasses.replace(problem, buffers=buffers)


def _groups(problem: Problem) -> list[list[Buffer]]:
    """Buffers connected by overwrites."""
    leader = {b.id: b.id for b in problem.buffers}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for o in problem.overwrites:
        leader[find(o.after)] = find(o.before)
    groups: dict[str, list[Buffer]] = {}
    for b in problem.buffers:
        groups.setdefault(find(b.id), []).append(b)
    return list(groups.values())


def _fits(part: Problem, region: PlanRegion) -> bool:
    if region.capacity_bytes is None:
        return True
    if part.lower_bound_bytes[0] > region.capacity_bytes:
        return False
    found = heuristic.search(part, iterations=SEARCH_ITERATIONS)
    return found.arena_bytes[0] <= region.capacity_bytes
