# SPDX-License-Identifier: Apache-2.0
"""What each operator of a model takes: work, constants, arena, time."""

from __future__ import annotations

import dataclasses

from converter import schedule
from converter.board_fit import BoardFit
from converter.inspect.placement import OperatorTime, moves_nothing, operator_times
from converter.inspect.report import ModelReport
from converter.tflite import Graph, GraphView, Operator
from tflm_custom_ops.ops import Params

INPUTS = -1  # instead of an operator's number


@dataclasses.dataclass(frozen=True)
class OperatorFigures:
    """One operator; what is None is not known, as of builtin operators the work.

    Attributes:
      op: its number in the order of execution.
      reads: numbers of the operators whose results it reads; INPUTS for the graph's inputs.
      output: type and shape of its first result, e.g. "int8 [1, 65, 64]".
      live_bytes, scratch_bytes: of the arena while it runs.
      macs: multiply-accumulates.
      instructions: estimate for a Cortex-M7.
      weight_bytes_read: in one run; more than there are where a tile of tokens reads them again.
      constant_bytes: in an image; what several operators share counts for the first of them.
      schedule: in words.
      time: on a board; None without one.
    """

    op: int
    name: str
    fused: bool
    reads: tuple[int, ...]
    output: str
    live_bytes: int
    scratch_bytes: int
    macs: int
    instructions: int | None
    weight_bytes_read: int
    constant_bytes: int | None
    schedule: str
    time: OperatorTime | None


def operator_figures(found: ModelReport, fit: BoardFit | None = None) -> list[OperatorFigures]:
    """Of every operator, in order.

    Args:
      fit: the model on a board, for times.
    """
    view = GraphView(found.stated.graph)
    times = None if fit is None else operator_times(found, fit)
    constants = found.prepared.added_bytes
    figures = []
    for memory, op, fused in zip(
        found.memory.ops, view.graph.operators, found.stated.ops, strict=True
    ):
        instructions, weights = work_of(view.graph, op, fused)
        if fused is None and moves_nothing(found, memory.op):
            instructions = 0
        figures.append(
            OperatorFigures(
                memory.op,
                memory.name,
                fused is not None,
                _reads(view, op),
                _described(view.graph, op),
                memory.live_bytes,
                memory.scratch_bytes,
                schedule.macs(fused),
                instructions,
                weights,
                constants[memory.op] if constants else None,
                schedule.describe(fused),
                times[memory.op] if times else None,
            )
        )
    return figures


def work_of(graph: Graph, op: Operator, fused: Params | None) -> tuple[int | None, int]:
    """(instructions, weight bytes read); (None, 0) of a builtin operator."""
    if fused is None:
        return None, 0
    cost = schedule.cost(fused, graph.tensors[op.inputs[0]].size)
    return round(cost.instructions), cost.weight_bytes


def _reads(view: GraphView, op: Operator) -> tuple[int, ...]:
    tensors = [t for t in op.inputs if t >= 0 and not view.graph.tensors[t].is_constant]
    producers = (view.producer(t) for t in tensors)
    return tuple(sorted({INPUTS if p is None else p for p in producers}))


def _described(graph: Graph, op: Operator) -> str:
    tensor = graph.tensors[op.outputs[0]]
    return f"{tensor.dtype} {list(tensor.shape)}"
