# SPDX-License-Identifier: Apache-2.0
"""The plan for TFLM on a device: the table that its PlannedMemoryPlanner reads.

TFLM's own metadata cannot fix scratch buffers; ``tflm_custom_ops/tflm/planned_memory_planner.h``
can. Its table lists the buffers in the order in which TFLM asks for them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fused_ops import decoded_all
from converter.plan import planner
from converter.plan.device_table import BufferPlace, BufferRequest, buffer_requests, encode_table
from converter.plan.layout import Plan
from converter.plan.lifetimes import (
    STRIP_ID,
    model_problem,
    offsets_of,
    scratch_id,
    tensor_id,
)
from converter.plan.problem import Buffer, PlanError, PlanRegion, Problem
from converter.plan.regions import spread
from converter.plan.stored import plan_of
from converter.plan.strip import strip_model
from converter.tflite import parse
from tflm_custom_ops.ops import operator_of


@dataclasses.dataclass(frozen=True, eq=False)
class DevicePlan:
    """What goes into the firmware.

    Attributes:
      model_bytes: the `.tflite` to embed; of a streamed plan the one whose input is a strip.
      words: int32 table for PlannedMemoryPlanner.
      region_bytes: bytes used of each region; the first is the tensor arena, to which TFLM's
        bookkeeping comes on top.
    """

    model_bytes: bytes
    words: NDArray[np.int32]
    region_bytes: tuple[int, ...]


def device_plan(planned_bytes: bytes, regions: tuple[PlanRegion, ...] | None = None) -> DevicePlan:
    """The table for a planned `.tflite` whose operators are all fused.

    Args:
      regions: memories, fastest first, over which to spread the buffers; None keeps the file's
        plan in one arena.

    Raises:
      PlanError: no plan, a builtin operator (whose scratch only TFLM knows), or the regions are
        too small.
    """
    model = parse(planned_bytes)
    plan, graph = plan_of(model), model.graph
    ops = decoded_all(graph)
    sizes = {i: operator_of(op).scratch_bytes for i, op in enumerate(ops) if op is not None}
    if len(sizes) < len(ops):
        builtin = next(i for i, op in enumerate(ops) if op is None)
        raise PlanError(
            f"device plan: op {builtin} {graph.operators[builtin].name} is a builtin operator, "
            "whose scratch is not known; let TFLM plan at run time (OfflineMemoryAllocation)"
        )
    content = planned_bytes
    if plan.strip is not None:
        content = strip_model(planned_bytes, plan.strip.offset).model_bytes
    stated = model_problem(graph, ops, plan.streamed)
    problem, offsets = stated.problem, offsets_of(stated, plan)
    used: tuple[int, ...] = (plan.arena_bytes,)
    if regions is not None:
        problem = spread(problem, regions, _priority)
        placement = planner.place(problem)
        offsets, used = placement.offsets, placement.arena_bytes
    requests = buffer_requests(parse(content).graph, sizes)
    placements = _placements(problem, offsets, [_id_of(r, plan) for r in requests])
    words = encode_table(content, requests, placements, used)
    return DevicePlan(content, words, used)


def _priority(b: Buffer) -> float:
    """Scratch is read and written most often, an image once; smaller buffers first among equals."""
    kind = 2 if b.id.startswith(scratch_id(0)[:-1]) else 1
    return kind - b.size_bytes / (1 << 32)


def _id_of(request: BufferRequest, plan: Plan) -> str:
    if request.tensor is None:
        assert request.operator is not None
        return scratch_id(request.operator)
    # The only tensor without a place of its own is the streamed image; its strip stands for it.
    return STRIP_ID if plan.tensors[request.tensor] is None else tensor_id(request.tensor)


def _placements(problem: Problem, offsets: tuple[int, ...], names: list[str]) -> list[BufferPlace]:
    """One per requested buffer, with the buffer that it overwrites, if it does."""
    number = {name: i for i, name in enumerate(names)}
    before = {o.after: o.before for o in problem.overwrites}
    found = []
    for name in names:
        i = problem.index[name]
        dying = before.get(name)
        shared = dying is not None and _overlap(problem, offsets, i, problem.index[dying])
        overwrites = number[dying] if shared and dying else None
        found.append(BufferPlace(problem.buffers[i].region, offsets[i], overwrites))
    return found


def _overlap(problem: Problem, offsets: tuple[int, ...], i: int, j: int) -> bool:
    a, b = problem.buffers[i], problem.buffers[j]
    same = a.region == b.region
    return (
        same and offsets[i] < offsets[j] + b.size_bytes and offsets[j] < offsets[i] + a.size_bytes
    )
