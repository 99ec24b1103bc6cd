# SPDX-License-Identifier: Apache-2.0
"""Checks a placement against its problem. Shares no logic with the planners, on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from converter.plan.problem import Buffer, Overwrite, PlanError, Problem


def _safe(o: Overwrite | None, before: Buffer, after: Buffer, at: tuple[int, int]) -> bool:
    """Whether ``after`` (at at[1]) may share bytes with ``before`` (at at[0]) as declared."""
    if o is None or before.upper - 1 != after.lower or before.lower >= after.lower:
        return False
    return at[0] == at[1] if o.margin_bytes is None else at[1] + o.margin_bytes <= at[0]


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
    for i, a in enumerate(buffers):
        for j in range(i + 1, len(buffers)):
            b, pair = buffers[j], (offsets[i], offsets[j])
            in_time = a.lower < b.upper and b.lower < a.upper
            in_space = pair[0] < pair[1] + b.size_bytes and pair[1] < pair[0] + a.size_bytes
            if not (
                in_time and in_space and a.region == b.region and a.size_bytes and b.size_bytes
            ):
                continue
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
