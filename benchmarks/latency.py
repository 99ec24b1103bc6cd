# SPDX-License-Identifier: Apache-2.0
"""Latency of a network, estimated from exact instruction counts. An estimate: no board was timed.

The estimate is `converter.latency`'s, which the search uses too. Cycles are the emulator's
instruction count times the cycles per instruction of the operator's kind, which the static
dual-issue model gives for the kernels as they are measured now (benchmarks/kernels/cycles.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.kernels.counts import KernelFigures
from boards import Board, Region, Use
from converter import schedule
from converter.latency import milliseconds
from tflm_custom_ops.ops import Attention, LayerNorm, LinearOp, Mlp, Params, PatchEmbed

# The kernel measurement that stands for each kind of operator.
_KERNEL_OF: dict[type, str] = {
    Attention: "attention block, int8 stream",
    Mlp: "MLP block, int8 stream",
    PatchEmbed: "patch embedding 240x240x3",
    LayerNorm: "LayerNorm, int8",
    LinearOp: "linear 46x192x192",
}


@dataclasses.dataclass(frozen=True)
class LatencyEstimate:
    """Milliseconds for one image; estimates.

    Attributes:
      compute_ms: with memory that never stalls.
      flash_ms, qspi_ms: with all weights in internal flash, in the memory-mapped QSPI flash.
      weight_bytes_read: bytes of weights read in one inference.
    """

    clock_hz: int
    compute_ms: float
    flash_ms: float | None
    qspi_ms: float | None
    weight_bytes_read: int


def _cycles_per_instruction(op: Params | None, kernels: Sequence[KernelFigures]) -> float:
    """By the kind of operator; 1 for builtin operators, which have no measurement."""
    name = _KERNEL_OF.get(type(op))
    for kernel in kernels:
        if kernel.name == name:
            return kernel.cycles_estimate / kernel.instructions
    return 1.0


def estimate(
    ops: Sequence[Params | None],
    instructions: Sequence[int],
    kernels: Sequence[KernelFigures],
    board: Board,
) -> LatencyEstimate:
    """Estimates a network's latency.

    Args:
      ops: the file's operators with their schedules; None for builtin ones.
      instructions: of each operator in one inference, exact.
    """
    cycles = sum(
        count * _cycles_per_instruction(op, kernels)
        for op, count in zip(ops, instructions, strict=True)
    )
    traffic = sum(schedule.cost(op).weight_bytes for op in ops if op is not None)
    clock_hz, external = board.clock.system_hz, board.external_flash()

    def with_weights_in(region: Region | None) -> float:
        return round(milliseconds(cycles, clock_hz, traffic, region), 1)

    return LatencyEstimate(
        clock_hz=clock_hz,
        compute_ms=with_weights_in(None),
        flash_ms=with_weights_in(board.place(Use.CODE)),
        qspi_ms=with_weights_in(external) if external else None,
        weight_bytes_read=traffic,
    )
