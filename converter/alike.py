# SPDX-License-Identifier: Apache-2.0
"""Operators that differ in their weights alone have the same schedules at the same cost.

The blocks of a network are of one shape. What a schedule costs depends on shapes, layouts and what
is there at all, not on a weight, a scale or a zero point; so it is counted for the first of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any

import numpy as np

from converter.schedule import Candidate, candidates
from tflm_custom_ops.ops import Params
from tflm_custom_ops.ops.schema import fields_of

# Fields that are arithmetic and never change a cost; score_shift does.
_NUMBERS = frozenset((
    "bias_shift", "context_numerator", "context_zero_point", "epsilon", "gate_multiplier",
    "gate_shift", "k_block", "multiplier", "out_max", "out_min", "out_zero_point",
    "relative_key_shift", "relative_value_shift", "score_multiplier", "shift", "table_zero_point",
    "zero_point",
))  # fmt: skip


def shape_of(part: Any) -> Hashable:
    """What of an operator's parameters, or of a part of them, decides what a schedule costs."""
    if isinstance(part, np.ndarray):
        return part.dtype.str, part.shape
    if dataclasses.is_dataclass(part):
        names = (f.name for f in dataclasses.fields(part) if f.name not in _NUMBERS)
        return type(part), tuple(shape_of(getattr(part, name)) for name in names)
    return part if isinstance(part, Hashable) else repr(part)


class Alike:
    """Candidates of a network's operators."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[Candidate, ...]] = {}

    def candidates(self, op: Params, values: int) -> tuple[Candidate, ...]:
        """As `converter.schedule.candidates`, of the first operator that is like this one."""
        key = shape_of(op), values
        if key not in self._found:
            self._found[key] = candidates(op, values)
        return self._found[key]


def scheduled_as(op: Params, other: Params) -> Params:
    """The operator with the schedule of one that is like it."""
    names = [f.name for f in fields_of(type(op)) if f.kind.schedule]
    return dataclasses.replace(op, **{name: getattr(other, name) for name in names})
