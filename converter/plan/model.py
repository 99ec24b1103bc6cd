# SPDX-License-Identifier: Apache-2.0
"""Schedules and plans a `.tflite` file, and reads the plan back."""

from __future__ import annotations

import dataclasses

from converter.fused_ops import decoded_all
from converter.plan import metadata, planner
from converter.plan.accesses import access_bytes
from converter.plan.arrange import arranged
from converter.plan.budget import OverBudgetError, schedule_graph
from converter.plan.layout import Plan, Span
from converter.plan.lifetimes import (
    STRIP_ID,
    ModelProblem,
    image_offset,
    model_problem,
    scratch_id,
    tensor_id,
)
from converter.plan.problem import Placement
from converter.plan.validate import validate
from converter.tflite import Graph, Operator, parse, serialize
from tflm_custom_ops.ops import Params, with_schedule

PACKING_ATTEMPTS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedModel:
    """A planned file.

    Attributes:
      model_bytes: the `.tflite` with schedule and plan inside.
      plan: the same plan.
      model_problem: the buffers behind the plan, for reports.
      placement: how they were placed, with the proof.
    """

    model_bytes: bytes
    plan: Plan
    model_problem: ModelProblem
    placement: Placement


def plan_model(
    model_bytes: bytes,
    streamed: bool = False,
    arena_budget: int | None = None,
    time_limit_s: float = planner.DEFAULT_TIME_LIMIT_S,
    seed: int = 0,
) -> PlannedModel:
    """Chooses each fused operator's schedule, places every buffer, and writes both into the file.

    Args:
      model_bytes: a plain or fused `.tflite`; an older plan is replaced.
      streamed: the application pushes image rows, the arena holds one strip of them.
      arena_budget: bytes that the arena may take; None gives the smallest arena that keeps good
        tiles (docs/memory.md).
      time_limit_s: of the exact search.
      seed: of the search; the same seed gives the same plan.

    Raises:
      OverBudgetError: the budget is too small.
      PlanError: streamed, and the graph does not start with a patch embedding.
      TfliteError, OptionsError: the file or an operator in it is malformed.
    """
    model = metadata.without_plan(parse(model_bytes))
    ops = decoded_all(model.graph)
    stated, placement = plan_graph(model.graph, ops, streamed, arena_budget, time_limit_s, seed)
    model = dataclasses.replace(model, graph=stated.graph)
    plan = plan_from(stated, placement)
    planned = metadata.with_plan(model, plan, image_offset(stated, plan))
    return PlannedModel(serialize(planned), plan, stated, placement)


def plan_graph(
    graph: Graph,
    ops: tuple[Params | None, ...],
    streamed: bool = False,
    arena_budget: int | None = None,
    time_limit_s: float = planner.DEFAULT_TIME_LIMIT_S,
    seed: int = 0,
) -> tuple[ModelProblem, Placement]:
    """Schedules and places a graph whose fused operators have the parameters ``ops``.

    Tiles are chosen for the live bytes of each step; where the placement cannot pack them without
    a hole, they are chosen again for a budget that is smaller by the excess.
    """
    limit = arena_budget
    for _ in range(PACKING_ATTEMPTS):
        scheduled = schedule_graph(graph, ops, streamed, limit)
        stated = model_problem(with_schedules(graph, scheduled), scheduled, streamed)
        placement = planner.place(stated.problem, time_limit_s, seed)
        excess = 0 if arena_budget is None else placement.arena_bytes[0] - arena_budget
        if excess <= 0:
            return stated, _arranged(stated, placement)
        assert limit is not None
        limit -= excess
    raise OverBudgetError(
        f"over budget: the arena needs {placement.arena_bytes[0]:,} bytes, {excess:,} more than "
        f"the budget of {arena_budget:,}, although no operator alone does; increase the time limit"
    )


def _arranged(stated: ModelProblem, placement: Placement) -> Placement:
    """The placement with its much-used buffers at low addresses.

    Not where an operator is builtin: it takes as scratch the gaps that the placement leaves.
    """
    if any(op is None for op in stated.ops):
        return placement
    found = arranged(stated.problem, placement, access_bytes(stated))
    validate(stated.problem, found.offsets)
    return found


def plan_from(stated: ModelProblem, placement: Placement) -> Plan:
    """The placement in terms of the graph's tensors and operators."""
    problem, graph = stated.problem, stated.graph

    def span(name: str) -> Span | None:
        i = problem.index.get(name)
        return None if i is None else Span(placement.offsets[i], problem.buffers[i].size_bytes)

    return Plan(
        arena_bytes=placement.arena_bytes[0],
        lower_bound_bytes=placement.lower_bound_bytes[0],
        tensors=tuple(span(tensor_id(i)) for i in range(len(graph.tensors))),
        scratch=tuple(span(scratch_id(i)) for i in range(len(graph.operators))),
        strip=span(STRIP_ID),
    )


def with_schedules(graph: Graph, ops: tuple[Params | None, ...]) -> Graph:
    """The graph with the tiles of ``ops`` in its operators' options; nothing else changes."""

    def scheduled(op: Operator, fused: Params | None) -> Operator:
        if fused is None or not op.custom_options:
            return op
        return dataclasses.replace(op, custom_options=with_schedule(op.custom_options, fused))

    return dataclasses.replace(graph, operators=tuple(map(scheduled, graph.operators, ops)))
