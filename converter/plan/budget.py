# SPDX-License-Identifier: Apache-2.0
"""Gives each operator of a graph the scratch that the arena has left in its step.

In step i the arena holds ``base[i]`` bytes besides scratch: the tensors that live, after the best
overwriting, and the strip of a streamed image. An operator may use ``limit - base[i]``. Without a
budget the limit is the smallest one that leaves every operator a good token tile; operators
outside the peak then get larger tiles for nothing.
"""

from __future__ import annotations

import dataclasses
import math

from converter.alike import Alike, scheduled_as
from converter.plan.lifetimes import is_streamable, model_problem
from converter.plan.problem import ALIGNMENT, align_up, live_bytes
from converter.schedule import Candidate, has_good_tile
from converter.tflite import Graph
from tflm_custom_ops.ops import Params


class OverBudgetError(ValueError):
    """The network does not fit; the message names the peak operator, the bytes, and remedies."""


@dataclasses.dataclass(frozen=True)
class Need:
    """Bytes that an operator's step takes: ``base_bytes`` of tensors, and its scratch."""

    op: int
    base_bytes: int
    scratch_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.base_bytes + self.scratch_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Choices:
    """The candidates of each operator of a graph, and the bytes live besides scratch.

    Attributes:
      base: per operator.
      candidates: per operator, with the weights of one that is like it (`converter.alike`); empty
        for builtin operators.
    """

    graph: Graph
    streamed: bool
    base: tuple[int, ...]
    candidates: tuple[tuple[Candidate, ...], ...]

    def smallest(self, good: bool) -> list[Need]:
        """Per operator its smallest need, among candidates with a good tile only if asked."""
        needs = []
        for i, found in enumerate(self.candidates):
            fair = [c for c in found if has_good_tile(c.op)] if good else found
            scratch = min((padded(c) for c in fair), default=0)
            needs.append(Need(i, self.base[i], scratch))
        return needs


def padded(candidate: Candidate) -> int:
    """Scratch bytes as the arena holds them."""
    return align_up(candidate.cost.scratch_bytes, ALIGNMENT)


def choices(graph: Graph, ops: tuple[Params | None, ...], streamed: bool) -> Choices:
    """Candidates and base bytes of a graph; see :class:`Choices`."""
    values = [
        0 if op is None else math.prod(graph.tensors[each.inputs[0]].shape)
        for op, each in zip(ops, graph.operators, strict=True)
    ]
    # The same parameters (converter.plan.weightless) have the same schedules.
    found: dict[tuple[int, int], tuple[Candidate, ...]] = {}
    alike = Alike()
    for op, count in zip(ops, values, strict=True):
        if op is not None and (id(op), count) not in found:
            found[id(op), count] = alike.candidates(op, count)
    return Choices(
        graph,
        streamed,
        base_bytes(graph, ops, streamed),
        tuple(
            () if op is None else found[id(op), count]
            for op, count in zip(ops, values, strict=True)
        ),
    )


def base_bytes(graph: Graph, ops: tuple[Params | None, ...], streamed: bool) -> tuple[int, ...]:
    """Per operator the bytes that live besides scratch."""
    bare = model_problem(graph, ops, streamed, with_scratch=False).problem
    live = live_bytes(bare, every_step=True)
    return tuple(live.get(i + 1, 0) for i in range(len(ops)))


def schedule_graph(
    graph: Graph,
    ops: tuple[Params | None, ...],
    streamed: bool = False,
    arena_budget: int | None = None,
) -> tuple[Params | None, ...]:
    """Each operator with the best schedule that fits.

    Args:
      arena_budget: bytes for the arena; None for the smallest arena with good tiles.

    Raises:
      OverBudgetError: some operator fits with no schedule.
    """
    found = choices(graph, ops, streamed)
    limit = arena_budget
    if limit is None:
        limit = max(n.total_bytes for n in found.smallest(good=True))
    scheduled: list[Params | None] = []
    for i, (op, base) in enumerate(zip(ops, found.base, strict=True)):
        fitting = [c for c in found.candidates[i] if base + padded(c) <= limit]
        if base > limit or (op is not None and not fitting):
            raise OverBudgetError(over_budget_message(found, ops, limit))
        best = min(fitting, key=lambda c: c.rank, default=None)
        scheduled.append(op if op is None or best is None else scheduled_as(op, best.op))
    return tuple(scheduled)


def smallest_arena(found: Choices) -> Need:
    """The peak with the smallest schedule of every operator: no arena can be smaller."""
    return max(found.smallest(good=False), key=lambda n: n.total_bytes)


def over_budget_message(found: Choices, ops: tuple[Params | None, ...], limit: int) -> str:
    """One line: the peak operator, its bytes with the smallest schedule, and what would help."""
    peak = smallest_arena(found)
    name = f"op {peak.op} {found.graph.operators[peak.op].name}"
    remedy = "a smaller network (fewer tokens, a smaller embed_dim)"
    if not found.streamed and is_streamable(found.graph, ops):
        streamed = smallest_arena(choices(found.graph, ops, True)).total_bytes
        if streamed <= limit:
            remedy = f"streamed input (smallest arena {streamed:,} bytes)"
    return (
        f"over budget: {name} needs {peak.total_bytes:,} bytes of arena with its smallest schedule "
        f"({peak.base_bytes:,} of tensors and image, {peak.scratch_bytes:,} of scratch), the "
        f"budget is {limit:,}; what would make it fit: {remedy}"
    )
