# SPDX-License-Identifier: Apache-2.0
"""What would make a planned model fit a smaller arena, found by planning it that way."""

from __future__ import annotations

from converter.plan.budget import OverBudgetError, choices, smallest_arena
from converter.plan.lifetimes import ModelProblem, is_streamable
from converter.plan.model import plan_graph
from tflm_custom_ops import options


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
        found.append(f"a smaller network: the smallest arena of this one{mode} is {least} bytes")
    return found


def _attempt(stated: ModelProblem, streamed: bool, budget: int) -> list[str]:
    try:
        fitting, placement = plan_graph(stated.graph, stated.ops, streamed, budget, 0.0)
    except OverBudgetError:
        return []
    changes = ["streamed input"] if streamed and not stated.streamed else []
    changes += _changes(stated.ops, fitting.ops)
    return [f"{', '.join(changes) or 'planning again'} (arena {placement.arena_bytes[0]} bytes)"]


def _changes(old: tuple[options.Op | None, ...], new: tuple[options.Op | None, ...]) -> list[str]:
    """How the schedules differ, in words."""
    per_head = tile = hidden = False
    for a, b in zip(old, new, strict=True):
        if isinstance(a, options.Attention) and isinstance(b, options.Attention):
            per_head |= b.heads_at_a_time < a.heads_at_a_time
            tile |= b.token_tile < a.token_tile
        if isinstance(a, options.Mlp) and isinstance(b, options.Mlp):
            tile |= b.token_tile < a.token_tile
            hidden |= b.hidden_tile < a.hidden_tile
    words = (("per-head K/V", per_head), ("smaller token tiles", tile),
             ("smaller hidden tiles", hidden))  # fmt: skip
    return [word for word, applies in words if applies]
