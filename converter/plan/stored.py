# SPDX-License-Identifier: Apache-2.0
"""The one check of the plans that a file carries, for every command and runtime that reads one.

A file may have been changed since it was planned, by a tool or on the way. Runtimes follow a plan
without looking: one wrong offset is a wrong result. So a plan counts only if it places every buffer
with its size, lets no two that are live together share a byte, gives the arena that follows from
its offsets, and says the same in both entries.
"""

from __future__ import annotations

import dataclasses

from converter.fused_ops import decoded, decoded_all, is_fused
from converter.plan.layout import Plan
from converter.plan.lifetimes import (
    ModelProblem,
    image_offset,
    model_problem,
    offsets_of,
    tensor_id,
)
from converter.plan.metadata import PLAN_NAME, parsed_plan
from converter.plan.offline import (
    NOT_PLANNED,
    OFFLINE_NAME,
    TFLM_ALIGNMENT,
    offline_offsets,
)
from converter.plan.problem import Buffer, PlanError, Problem
from converter.plan.validate import validate
from converter.tflite import Graph, Model, Operator, TfliteError, parse
from tflm_custom_ops.ops import Params


def read_plan(model_bytes: bytes) -> Plan:
    """The plan that a file carries; see `plan_of`."""
    return plan_of(parse(model_bytes))


def plan_of(model: Model) -> Plan:
    """The plan that a model carries, checked.

    Raises:
      PlanError: none, or one that is malformed, was made for another graph, is unsafe, or differs
        from what the file tells TFLM.
    """
    plan = parsed_plan(model)
    stated = model_problem(model.graph, decoded_all(model.graph), plan.streamed)
    offsets = offsets_of(stated, plan)
    validate(stated.problem, offsets)
    _check_totals(stated, plan, offsets)
    _check_nothing_else(stated, plan)
    _check_agreement(model, stated, plan)
    return plan


def check_plans(model: Model) -> None:
    """Checks whatever plans a model carries; nothing is said of a model without.

    Raises:
      PlanError: as `plan_of`, or TFLM's entry alone is unsafe.
    """
    if any(m.name == PLAN_NAME for m in model.metadata):
        plan_of(model)
    elif (offsets := offline_offsets(model)) is not None:
        _check_offline(model, offsets)


def _check_totals(stated: ModelProblem, plan: Plan, offsets: tuple[int, ...]) -> None:
    buffers = stated.problem.buffers
    top = max((at + b.size_bytes for at, b in zip(offsets, buffers, strict=True)), default=0)
    if plan.arena_bytes != top:
        raise PlanError(
            f"{PLAN_NAME}: got an arena of {plan.arena_bytes} bytes, expected {top}, which its "
            "buffers take; plan the model again"
        )
    (least,) = stated.problem.lower_bound_bytes
    if not least <= plan.lower_bound_bytes <= plan.arena_bytes:
        raise PlanError(
            f"{PLAN_NAME}: got a lower bound of {plan.lower_bound_bytes} bytes, expected "
            f"{least}..{plan.arena_bytes}; plan the model again"
        )


def _check_nothing_else(stated: ModelProblem, plan: Plan) -> None:
    """Only what the model has is placed."""
    placed = [s for s in (*plan.tensors, *plan.scratch, plan.strip) if s is not None]
    if len(placed) != len(stated.problem.buffers):
        raise PlanError(
            f"{PLAN_NAME}: got {len(placed)} buffers, expected {len(stated.problem.buffers)}; plan "
            "the model again"
        )


def _check_agreement(model: Model, stated: ModelProblem, plan: Plan) -> None:
    """TFLM's entry, where there is one, says the same."""
    found = offline_offsets(model)
    if found is None:
        return
    expected = [NOT_PLANNED if s is None else s.offset for s in plan.tensors]
    allowed = [{offset} for offset in expected]
    if plan.streamed:
        allowed[model.graph.inputs[0]].add(image_offset(stated, plan))
    for tensor, offset, offsets in zip(model.graph.tensors, found, allowed, strict=True):
        if offset not in offsets:
            raise PlanError(
                f"{OFFLINE_NAME}: got offset {offset} for tensor {tensor.name!r}, expected "
                f"{max(offsets)} as {PLAN_NAME} has it; plan the model again"
            )


def _params(graph: Graph, op: Operator) -> Params | None:
    """Of a fused operator; None of one that reads a strip of its image (`converter.plan.strip`)."""
    try:
        return decoded(graph, op) if is_fused(op) else None
    except TfliteError:
        return None


def _check_offline(model: Model, offsets: tuple[int, ...]) -> None:
    """TFLM's entry alone: tensors that it places do not share bytes while they live.

    What it leaves to TFLM, scratch among it, TFLM places around them.
    """
    graph = model.graph
    ops = tuple(_params(graph, op) for op in graph.operators)
    stated = model_problem(graph, ops, with_scratch=False)
    places = {tensor_id(i): offset for i, offset in enumerate(offsets) if offset != NOT_PLANNED}
    sizes = {tensor_id(i): t.nbytes for i, t in enumerate(graph.tensors)}
    kept: list[Buffer] = [
        dataclasses.replace(b, alignment=TFLM_ALIGNMENT, size_bytes=sizes[b.id])
        for b in stated.problem.buffers
        if b.id in places
    ]
    overwrites = tuple(
        o for o in stated.problem.overwrites if o.before in places and o.after in places
    )
    try:
        validate(Problem(tuple(kept), overwrites), [places[b.id] for b in kept])
    except PlanError as error:
        raise PlanError(f"{OFFLINE_NAME}: {error}; plan the model again") from error
