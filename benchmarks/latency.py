# SPDX-License-Identifier: Apache-2.0
"""Latency of a network, estimated from exact instruction counts. An estimate: no board was timed.

The estimate is `converter.latency`'s, which the search uses too.
"""

from __future__ import annotations

from collections.abc import Sequence

from boards import Board, Region
from converter import schedule
from converter.latency import Estimate, Reads, cycles_per_instruction, estimate
from tflm_custom_ops.ops import Params, operator_of


def cycles(ops: Sequence[Params | None], instructions: Sequence[float], board: Board) -> float:
    """Core cycles of a network's operators, with memory that never stalls.

    Args:
      ops: the file's operators; None for builtin ones.
      instructions: of each in one inference.
    """
    return sum(
        count * cycles_per_instruction(board.core.name, "" if op is None else operator_of(op).CODE)
        for op, count in zip(ops, instructions, strict=True)
    )


def with_formula(
    ops: Sequence[Params | None], instructions: Sequence[float], board: Board, weights: Region
) -> Estimate:
    """With the weights that the schedules say are read, from where they lie."""
    traffic = sum(schedule.cost(op).weight_bytes for op in ops if op is not None)
    reads = [Reads(weights, traffic)]
    return estimate(cycles(ops, instructions, board), board.clock.system_hz, reads)
