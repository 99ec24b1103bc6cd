# SPDX-License-Identifier: Apache-2.0
"""Places the buffers of a problem: heuristic first, exact search if a gap is left, then checks."""

from __future__ import annotations

from converter.plan import cp_sat, heuristic
from converter.plan.problem import Placement, PlanError, Problem
from converter.plan.validate import validate

DEFAULT_TIME_LIMIT_S = 20.0


def place(problem: Problem, time_limit_s: float = DEFAULT_TIME_LIMIT_S, seed: int = 0) -> Placement:
    """A validated placement, never larger than the greedy one.

    Args:
      time_limit_s: of the exact search, which runs only if the heuristic misses the lower bound;
        0 leaves it out.

    Raises:
      PlanError: a region's capacity is exceeded, or the fixed offsets collide.
    """
    placement = heuristic.search(problem, seed)
    if not placement.optimal and time_limit_s > 0:
        placement = cp_sat.solve(problem, placement, time_limit_s, seed)
    for region, arena in zip(problem.regions, placement.arena_bytes, strict=True):
        if region.capacity_bytes is not None and arena > region.capacity_bytes:
            raise PlanError(
                f"region {region.name}: the best placement found needs {arena} bytes, the region "
                f"has {region.capacity_bytes}"
            )
    validate(problem, placement.offsets)
    return placement
