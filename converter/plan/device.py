# SPDX-License-Identifier: Apache-2.0
"""The plan for TFLM on a device: the table that its PlannedMemoryPlanner reads.

TFLM's own metadata cannot fix scratch buffers; ``tflm_custom_ops/tflm/planned_memory_planner.h``
can. Its table lists the buffers in the order in which TFLM asks for them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.plan.lifetimes import decoded, model_problem, scratch_id, tensor_id
from converter.plan.metadata import Plan, Span, plan_of
from converter.plan.problem import PlanError
from converter.tflite import parse
from tflm_custom_ops.scratch import scratch_bytes
from tflm_custom_ops.tflm import memory_plan, model_file
from tflm_custom_ops.tflm.memory_plan import BufferRequest, Placement
from tflm_custom_ops.tflm.streamed import strip_model


@dataclasses.dataclass(frozen=True, eq=False)
class DevicePlan:
    """What goes into the firmware.

    Attributes:
      model_bytes: the `.tflite` to embed; of a streamed plan the one whose input is a strip.
      words: int32 table for PlannedMemoryPlanner.
      arena_bytes: of region 0, without TFLM's bookkeeping.
    """

    model_bytes: bytes
    words: NDArray[np.int32]
    arena_bytes: int


def device_plan(planned_bytes: bytes) -> DevicePlan:
    """The table for a planned `.tflite` whose operators are all fused.

    Raises:
      PlanError: no plan, or a builtin operator, whose scratch only TFLM knows.
    """
    model = parse(planned_bytes)
    plan, graph = plan_of(model), model.graph
    ops = tuple(decoded(graph, op) for op in graph.operators)
    sizes = {i: scratch_bytes(op) for i, op in enumerate(ops) if op is not None}
    if len(sizes) < len(ops):
        builtin = next(i for i, op in enumerate(ops) if op is None)
        raise PlanError(
            f"device plan: op {builtin} {graph.operators[builtin].name} is a builtin operator, "
            "whose scratch is not known; let TFLM plan at run time (OfflineMemoryAllocation)"
        )
    content = planned_bytes
    if plan.strip is not None:
        content = strip_model(planned_bytes, plan.strip.offset).model_bytes
    requests = memory_plan.buffer_requests(model_file.load_model(content), sizes)
    stated = model_problem(graph, ops, plan.streamed)
    before = {o.after: o.before for o in stated.problem.overwrites}
    number = {_id_of(r): i for i, r in enumerate(requests)}
    spans = {_id_of(r): _span(plan, r) for r in requests}
    placements = []
    for request in requests:
        name = _id_of(request)
        dying = before.get(name)
        shared = dying is not None and _overlap(spans[name], spans[dying])
        placements.append(
            Placement(0, spans[name].offset, number[dying] if shared and dying else None)
        )
    words = memory_plan.encode_plan(content, requests, placements, [plan.arena_bytes])
    return DevicePlan(content, words, plan.arena_bytes)


def _id_of(request: BufferRequest) -> str:
    if request.tensor is not None:
        return tensor_id(request.tensor)
    assert request.operator is not None
    return scratch_id(request.operator)


def _span(plan: Plan, request: BufferRequest) -> Span:
    if request.tensor is None:
        assert request.operator is not None
        span = plan.scratch[request.operator]
    else:
        span = plan.tensors[request.tensor]
        span = plan.strip if span is None else span  # the only tensor without a place: the image
    if span is None:
        raise PlanError(f"device plan: no place for {_id_of(request)}; plan the model again")
    return span


def _overlap(a: Span, b: Span) -> bool:
    return a.offset < b.end and b.offset < a.end
