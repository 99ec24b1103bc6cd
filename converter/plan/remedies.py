# SPDX-License-Identifier: Apache-2.0
"""What would make a planned model fit a smaller arena, found by planning it that way."""

from __future__ import annotations

from converter.plan.budget import OverBudgetError, choices, smallest_arena
from converter.plan.lifetimes import ModelProblem, is_streamable
from converter.plan.model import plan_graph
from tflm_custom_ops.ops import Params, operator_of


def remedies(stated: ModelProblem, arena_budget: int) -> list[str]:
    """Ways to fit ``arena_budget`` bytes, best first; if there is none, the smallest arena."""
    found = []
    if not stated.streamed:
        found += _attempt(stated, False, arena_budget)
    if is_streamable(stated.graph, stated.ops):
        found += _attempt(stated, True, arena_budget)
    if not found:
        streamed = stated.streamed or is_streamable(stated.graph, stated.ops)
        least = smallest_arena(choices(stated.graph, stated.ops, streamed)).total_bytes
        mode = " with streamed input" if streamed else ""
        found.append(f"a smaller network: the smallest arena of this one{mode} is {least:,} bytes")
    return found


def _attempt(stated: ModelProblem, streamed: bool, budget: int) -> list[str]:
    try:
        fitting, placement = plan_graph(stated.graph, stated.ops, streamed, budget, 0.0)
    except OverBudgetError:
        return []
    changes = ["streamed input"] if streamed and not stated.streamed else []
    changes += _changes(stated.ops, fitting.ops)
    return [f"{', '.join(changes) or 'planning again'} (arena {placement.arena_bytes[0]:,} bytes)"]


def _changes(old: tuple[Params | None, ...], new: tuple[Params | None, ...]) -> list[str]:
    """How the schedules differ, in words."""
    words: dict[str, None] = {}
    for a, b in zip(old, new, strict=True):
        if a is not None and b is not None:
            words |= dict.fromkeys(operator_of(a).schedule_changes(operator_of(b)))
    return list(words)
