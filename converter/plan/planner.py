# SPDX-License-Identifier: Apache-2.0
"""Places the buffers of a problem: quick orders first, searches if a gap is left, then checks."""

from __future__ import annotations

from converter.plan import heuristic
from converter.plan.problem import Placement, PlanError, Problem, live_pairs, part_of
from converter.plan.validate import validate

DEFAULT_TIME_LIMIT_S = 20.0
# CP-SAT proves small problems in a moment, and large ones hardly ever: up to so many pairs of
# buffers that live together it gets nearly all of the time, else half.
SMALL_PAIRS = 1000
MOST_PAIRS = 1 << 19  # a thousand buffers, all at a time; networks have a few hundred pairs
SMALL_SHARE, LARGE_SHARE = 0.05, 0.5  # of the search by sections


def place(problem: Problem, time_limit_s: float = DEFAULT_TIME_LIMIT_S, seed: int = 0) -> Placement:
    """A validated placement, never larger than the greedy one.

    Args:
      time_limit_s: of the searches that run only if the quick orders miss the lower bound, that
        by sections and CP-SAT, which proves; 0 leaves both out.

    Raises:
      PlanError: a region's capacity is exceeded, the fixed offsets collide, or too many buffers
        live together.
    """
    if (pairs := live_pairs(problem)) > MOST_PAIRS:
        raise PlanError(
            f"got {pairs} pairs of buffers that live together, expected up to {MOST_PAIRS}: use "
            "results sooner, or split the model"
        )
    parts = [_place_region(problem, r, time_limit_s, seed) for r in range(len(problem.regions))]
    offsets = [0] * len(problem.buffers)
    for number, part in enumerate(parts):
        there = (i for i, b in enumerate(problem.buffers) if b.region == number)
        for i, offset in zip(there, part.offsets, strict=True):
            offsets[i] = offset
    placement = Placement(
        tuple(offsets),
        tuple(part.arena_bytes[0] for part in parts),
        tuple(part.lower_bound_bytes[0] for part in parts),
        "+".join(dict.fromkeys(part.method for part in parts)),
    )
    for region, arena in zip(problem.regions, placement.arena_bytes, strict=True):
        if region.capacity_bytes is not None and arena > region.capacity_bytes:
            raise PlanError(
                f"region {region.name}: the best placement found needs {arena} bytes, the region "
                f"has {region.capacity_bytes}"
            )
    validate(problem, placement.offsets)
    return placement


def _place_region(problem: Problem, region: int, time_limit_s: float, seed: int) -> Placement:
    """Places the buffers of one region, which those of the others do not touch."""
    part = problem
    if len(problem.regions) > 1:
        part = part_of(problem, {b.id for b in problem.buffers if b.region == region}, region)
    large = len(part.separations) > SMALL_PAIRS
    placement = _quick(part, seed, large and time_limit_s > 0)
    if placement.optimal or time_limit_s == 0:
        return placement
    from converter.plan import sections  # most plans need no search, and it brings a compiler along

    first_s = time_limit_s * (LARGE_SHARE if large else SMALL_SHARE)
    capacity = part.regions[0].capacity_bytes
    placement = sections.improve(part, placement, first_s, seed, capacity)
    if placement.optimal:
        return placement
    from converter.plan import cp_sat  # OR-Tools takes a second to import, and most plans need none

    return cp_sat.solve(part, placement, time_limit_s - first_s, seed)


def _quick(part: Problem, seed: int, is_searched: bool) -> Placement:
    """Of the quick orders. Their hill climb is left out where a search that is better follows."""
    if is_searched:
        placement = heuristic.search(part, seed, iterations=0)
        if placement.optimal:
            return placement
        from converter.plan.sections import native

        if native.available():
            return placement
    return heuristic.search(part, seed)
