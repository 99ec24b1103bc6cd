# SPDX-License-Identifier: Apache-2.0
"""Chooses a fused operator's tiles: how many tokens, heads and hidden units at a time.

A schedule never changes a result, only scratch bytes, weight traffic and instructions. Among the
candidates that fit, the one with the least effort wins: estimated instructions, plus a share for
the weights that are read once per tile. docs/memory.md explains the formulas.
"""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.ops import Params, operator_of

# How many instructions a weight byte read is worth when schedules are compared. A file has one
# schedule for every board, so that this is a choice between internal flash (0.2 to 0.8 cycles a
# byte) and QSPI (6), and no board's speed; times are estimated by converter.latency.
INSTRUCTIONS_PER_WEIGHT_BYTE = 4.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a schedule costs.

    Attributes:
      scratch_bytes: while the operator runs.
      weight_bytes: int8 weights that are read from their memory in one run.
      instructions: estimate, for comparing schedules of the same operator.
    """

    scratch_bytes: int
    weight_bytes: int
    instructions: float

    @property
    def effort(self) -> float:
        """What schedules of the same operator are compared by."""
        return self.instructions + INSTRUCTIONS_PER_WEIGHT_BYTE * self.weight_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """An operator with one schedule, and its cost."""

    op: Params
    cost: Cost

    @property
    def rank(self) -> tuple[float, int]:
        """Better schedules first, among those that fit; of equal ones, to four digits as nothing
        is known better, those with less scratch."""
        return float(f"{self.cost.effort:.3e}"), self.cost.scratch_bytes


class ScheduleError(ValueError):
    """No schedule fits; says the bytes of the smallest one and the budget."""


def candidates(op: Params, values: int = 0) -> tuple[Candidate, ...]:
    """Every schedule worth comparing; a single one for operators without tiles.

    Args:
      values: of the first input, which decides the cost of operators that take any shape.
    """
    found = operator_of(op).schedules()
    return tuple(Candidate(variant, cost(variant, values)) for variant in found)


def has_good_tile(op: Params) -> bool:
    """Whether weights are read no more than once per 16 tokens, hidden units whole."""
    return operator_of(op).has_good_tile


def schedule_op(op: Params, scratch_budget_bytes: int | None = None) -> Params:
    """The operator with its best schedule.

    Args:
      scratch_budget_bytes: bytes that its scratch may take; None gives the least scratch with a
        good token tile.

    Raises:
      ScheduleError: no schedule fits.
    """
    found = candidates(op)
    if scratch_budget_bytes is None:
        good = [c for c in found if has_good_tile(c.op)]
        scratch_budget_bytes = min(c.cost.scratch_bytes for c in good)
    fitting = [c for c in found if c.cost.scratch_bytes <= scratch_budget_bytes]
    if not fitting:
        least = min(c.cost.scratch_bytes for c in found)
        raise ScheduleError(
            f"{type(op).__name__}: the smallest schedule needs {least} bytes of scratch, "
            f"{scratch_budget_bytes} are left"
        )
    return min(fitting, key=lambda c: c.rank).op


def cost(op: Params, values: int = 0) -> Cost:
    """The cost of an operator as it is scheduled; ``values`` as for `candidates`."""
    operator = operator_of(op)
    found = operator.schedule_cost
    instructions = found.instructions
    if operator.output.shape is None:
        instructions = operator.work_on(values).instructions
    return Cost(operator.scratch_bytes, found.weight_bytes, instructions)


def macs(op: Params | None) -> int:
    """Multiply-accumulates of one run of a fused operator; 0 where it has no products."""
    return 0 if op is None else operator_of(op).macs


def describe(op: Params | None) -> str:
    """The schedule in words, e.g. "16 tokens, 1 of 3 heads"; empty where there is none."""
    return "" if op is None else operator_of(op).schedule_text
