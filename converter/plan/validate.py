# SPDX-License-Identifier: Apache-2.0
"""Checks a placement against its problem. Shares no logic with the planners, on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.plan.problem import Buffer, Overwrite, PlanError, Problem


def _safe(o: Overwrite | None, before: Buffer, after: Buffer, at: tuple[int, int]) -> bool:
    """Whether ``after`` (at at[1]) may share bytes with ``before`` (at at[0]) as declared."""
    if o is None or before.upper - 1 != after.lower or before.lower >= after.lower:
        return False
    return at[0] == at[1] if o.margin_bytes is None else at[1] + o.margin_bytes <= at[0]


def _overlapping(problem: Problem, offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of buffers that share a byte of a region and a step, the first before the second."""
    places = np.array([b.region for b in problem.buffers], np.int64)
    sizes = np.array([b.size_bytes for b in problem.buffers], np.int64)
    lower = np.array([b.lower for b in problem.buffers], np.int64)
    upper = np.array([b.upper for b in problem.buffers], np.int64)
    start = np.array(offsets, np.int64)
    pairs: list[tuple[int, int]] = []
    for i in range(len(problem.buffers)):
        rest = slice(i + 1, None)
        in_time = (lower[i] < upper[rest]) & (lower[rest] < upper[i])
        in_space = (start[i] < start[rest] + sizes[rest]) & (start[rest] < start[i] + sizes[i])
        both = in_time & in_space & (places[rest] == places[i]) & (sizes[rest] > 0) & (sizes[i] > 0)
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(both)]
    return pairs


def violations(problem: Problem, offsets: Sequence[int]) -> list[str]:
    """Everything that is wrong with the offsets; an empty list means that the plan is safe."""
    buffers, found = problem.buffers, []
    if len(offsets) != len(buffers):
        return [f"got {len(offsets)} offsets, expected {len(buffers)}"]
    overwrites = {(o.before, o.after): o for o in problem.overwrites}
    for b, at in zip(buffers, offsets, strict=True):
        region = problem.regions[b.region]
        if at < 0 or (
            region.capacity_bytes is not None and at + b.size_bytes > region.capacity_bytes
        ):
            found.append(
                f"{b.id}: got bytes [{at}, {at + b.size_bytes}), expected within "
                f"[0, {region.capacity_bytes}) of {region.name}"
            )
        if at % b.alignment:
            found.append(f"{b.id}: got offset {at}, expected a multiple of {b.alignment}")
        if b.offset is not None and at != b.offset:
            found.append(f"{b.id}: got offset {at}, expected the fixed offset {b.offset}")
    for i, j in _overlapping(problem, offsets):
        a, b, pair = buffers[i], buffers[j], (offsets[i], offsets[j])
        if _safe(overwrites.get((a.id, b.id)), a, b, pair):
            continue
        if _safe(overwrites.get((b.id, a.id)), b, a, (pair[1], pair[0])):
            continue
        found.append(
            f"{a.id} at [{pair[0]}, {pair[0] + a.size_bytes}) and {b.id} at "
            f"[{pair[1]}, {pair[1] + b.size_bytes}) are both live in step "
            f"{max(a.lower, b.lower)} and share bytes"
        )
    return found


def validate(problem: Problem, offsets: Sequence[int]) -> None:
    """Raises PlanError that names the first violations, if there is any."""
    found = violations(problem, offsets)
    if found:
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise PlanError("unsafe plan: " + "; ".join(found[:3]) + more)
