# SPDX-License-Identifier: Apache-2.0
"""What a model takes: memory, flash, and whether a target holds it."""

from __future__ import annotations

import dataclasses

from boards import Board
from boards.core import CycleCounter
from converter import footprint, tflite
from converter.board_fit import BoardFit, Surroundings, fit_board
from converter.compile.header import BOXES_CODE_BYTES, class_names_bytes
from converter.compile.interface import STREAM_STATE_BYTES, image_of, row_bytes
from converter.compile.pieces import pieces_bytes
from converter.compile.prepared import Prepared, prepared
from converter.contract import Stated, stated_by
from converter.fused_ops import decoded_all
from converter.plan import metadata
from converter.plan.lifetimes import ModelProblem, model_problem, offsets_of
from converter.plan.model import plan_model
from converter.plan.remedies import remedies
from converter.plan.report import FlashReport, MemoryReport, flash_report, memory_report
from converter.plan.stored import check_plans, plan_of


@dataclasses.dataclass(frozen=True)
class Budgets:
    """What the command line says of the target; bytes, None where there is no limit.

    Attributes:
      fit: the model in the memories of a board, if one is named.
      latency_ms: limit of the estimate, None for none.
    """

    sram: int | None
    flash: int | None
    stack_bytes: int
    static_bytes: int
    code_bytes: int
    fit: BoardFit | None = None
    latency_ms: float | None = None


@dataclasses.dataclass(frozen=True)
class EndTensor:
    """An input or output.

    Attributes:
      what: `input` or `output`.
      name: of the file's signature, else the tensor's.
      dtype, shape: as in the file.
      scale, zero_point: real = scale * (q - zero_point); None where there is not one of each.
    """

    what: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None


@dataclasses.dataclass(frozen=True, eq=False)
class ModelReport:
    """A model's report.

    Attributes:
      stated: buffers and schedules.
      planned_here: the file has no plan; this is the one that it would get.
      offsets: of ``stated.problem.buffers``.
      ends: inputs, then outputs, in the file's order.
      contract: what the file says of its input and output.
      prepared: what an image of the compiled runtime has of it.
    """

    stated: ModelProblem
    memory: MemoryReport
    flash: FlashReport
    planned_here: bool
    offsets: tuple[int, ...]
    ends: tuple[EndTensor, ...]
    contract: Stated
    prepared: Prepared

    @property
    def constant_bytes(self) -> int:
        """What a firmware holds: constants as the kernels read them, or those of the file where no
        kernel does, names of classes, what makes boxes of outputs or tokens of a text."""
        found = self.prepared.constant_bytes
        constants = self.flash.constant_bytes if found is None else found
        names = self.contract.class_names
        graph = self.stated.graph
        compiled = len(names) == sum(graph.tensors[i].size for i in graph.outputs)
        boxes = BOXES_CODE_BYTES if self.contract.task.boxes is not None else 0
        cut = pieces_bytes(vocabulary) if (vocabulary := self.contract.vocabulary) else 0
        return constants + boxes + cut + (class_names_bytes(names) if compiled else 0)

    def sram_parts(self, budgets: Budgets) -> tuple[tuple[str, int], ...]:
        """What SRAM holds: (name, bytes); parts of no bytes are left out, the arena is first."""
        state = STREAM_STATE_BYTES if self.memory.streamed else 0
        parts = (
            ("arena", self.memory.arena_bytes),
            ("streaming state", state),
            ("stack", budgets.stack_bytes),
            ("static data", budgets.static_bytes),
        )
        return tuple((name, size) for name, size in parts if size)


def _ends(model: tflite.Model) -> tuple[EndTensor, ...]:
    graph = model.graph
    found = []
    for what, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for index in indices:
            tensor = graph.tensors[index]
            q = tensor.quantization
            single = q is not None and len(q.scale) == 1
            found.append(
                EndTensor(
                    what,
                    model.name_of(index),
                    str(tensor.dtype),
                    tensor.shape,
                    tensor.scale if single else None,
                    tensor.zero_point if single else None,
                )
            )
    return tuple(found)


def inspect_model(model_bytes: bytes, streamed: bool = False) -> ModelReport:
    """Reports on a model.

    Args:
      streamed: how to plan a file without a plan.

    Raises:
      TfliteError, OptionsError, PlanError: the file, an operator or the plan is malformed.
    """
    model = tflite.parse(model_bytes)
    planned_here = not any(m.name == metadata.PLAN_NAME for m in model.metadata)
    if planned_here:
        check_plans(model)  # TFLM's entry alone: planned anew here, obeyed by TFLM
        planned = plan_model(model_bytes, streamed)
        stated, plan, file_bytes = planned.model_problem, planned.plan, len(planned.model_bytes)
    else:
        plan, file_bytes = plan_of(model), len(model_bytes)
        ops = decoded_all(model.graph)
        stated = model_problem(model.graph, ops, plan.streamed)
    offsets = offsets_of(stated, plan)
    memory = memory_report(stated, plan)
    return ModelReport(
        stated,
        memory,
        flash_report(stated, file_bytes),
        planned_here,
        offsets,
        _ends(model),
        stated_by(model),
        prepared(stated.graph, stated.ops, plan),
    )


def firmware_budgets(
    found: ModelReport,
    board: Board | None = None,
    stack_bytes: int | None = None,
    static_bytes: int | None = None,
) -> Budgets:
    """What the firmware around a model takes, and whether that fits a board; no other limits.

    Args:
      stack_bytes, static_bytes: of a firmware; None for what this toolkit's reserves and declares.
    """
    graph = found.stated.graph
    row = row_bytes(image_of(graph), sum(graph.tensors[i].nbytes for i in graph.inputs))
    streamed = found.memory.streamed
    stack, fit = footprint.STACK_RESERVED_BYTES, None
    systick = board is not None and board.core.cycle_counter is CycleCounter.SYSTICK
    static = footprint.static_bytes(len(graph.operators), row, streamed, systick=systick)
    if board is not None:
        stack = board.stack_bytes
        fit = fit_board(
            board,
            Surroundings(found.prepared.calls, row, streamed, found.prepared.names),
            planned_bytes=found.memory.arena_bytes,
            constant_bytes=found.constant_bytes,
            stack_bytes=stack_bytes,
            static_bytes=static_bytes,
        )
    stack = stack if stack_bytes is None else stack_bytes
    return Budgets(None, None, stack, static if static_bytes is None else static_bytes, 0, fit)


def over_budget(found: ModelReport, budgets: Budgets) -> str | None:
    """The line for a model that does not fit, or None."""
    memory, flash = found.memory, found.flash
    parts = found.sram_parts(budgets)
    total = sum(size for _, size in parts)
    if budgets.sram is not None and total > budgets.sram:
        peak = memory.peak
        left = budgets.sram - (total - memory.arena_bytes)
        listed = ", ".join(f"{name} {size:,}" for name, size in parts)
        return (
            f"over budget: SRAM needs {total:,} bytes ({listed}), the budget is {budgets.sram:,}; "
            f"peak: op {peak.op} {peak.name}, {peak.live_bytes:,} bytes; what would make it fit: "
            + "; or ".join(remedies(found.stated, left))
        )
    needed = found.constant_bytes + budgets.code_bytes
    if budgets.flash is not None and needed > budgets.flash:
        name, size = flash.sections[0]
        return (
            f"over budget: flash needs {needed:,} bytes (constants {found.constant_bytes:,}, code "
            f"{budgets.code_bytes:,}), the budget is {budgets.flash:,}; the largest section is "
            f"{name}, {size:,} bytes; what would make it fit: weights in external flash, or a "
            "smaller network"
        )
    return None if budgets.fit is None else _over_board(found, budgets.fit)


def _over_board(found: ModelReport, fit: BoardFit) -> str | None:
    """The line for a model that does not fit a board, or None."""
    misfit, peak = fit.misfit(), found.memory.peak
    if misfit is None:
        return None
    line = f"over budget on {fit.board.name}: {misfit}"
    if not any(filled.excess_bytes for filled in fit.data):
        return line
    room = fit.arena_room() - (STREAM_STATE_BYTES if found.memory.streamed else 0)
    return (
        f"{line}; peak: op {peak.op} {peak.name}, {peak.live_bytes:,} bytes; "
        "what would make it fit: " + "; or ".join(remedies(found.stated, max(0, room)))
    )
