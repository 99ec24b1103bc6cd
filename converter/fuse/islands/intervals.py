# SPDX-License-Identifier: Apache-2.0
"""The numbers that a result can be, from those that its operands can be (Moore 1966)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from converter.fuse.op_semantics import Array
from converter.tflite import Operator, Tensor


@dataclasses.dataclass(frozen=True)
class RealInterval:
    """Real numbers from low to high, both finite."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Array) -> RealInterval | None:
        """The least that holds all of them; None if they are not finite, or none."""
        if not values.size or not np.all(np.isfinite(values)):
            return None
        return cls(float(values.min()), float(values.max()))

    @classmethod
    def of_type(cls, tensor: Tensor) -> RealInterval:
        """What an integer tensor with one scale can hold."""
        info = np.iinfo(tensor.dtype)
        low, high = (tensor.scale * (end - tensor.zero_point) for end in (info.min, info.max))
        return cls(low, high)

    def hull(self, other: RealInterval) -> RealInterval:
        return RealInterval(min(self.low, other.low), max(self.high, other.high))

    def scaled(self, factor: float) -> RealInterval:
        ends = sorted((self.low * factor, self.high * factor))
        return RealInterval(ends[0], ends[1])

    def with_zero(self) -> RealInterval:
        return RealInterval(min(self.low, 0.0), max(self.high, 0.0))


def _sum(_: Operator, x: Sequence[RealInterval]) -> RealInterval:
    return RealInterval(x[0].low + x[1].low, x[0].high + x[1].high)


def _difference(_: Operator, x: Sequence[RealInterval]) -> RealInterval:
    return RealInterval(x[0].low - x[1].high, x[0].high - x[1].low)


def _product(_: Operator, x: Sequence[RealInterval]) -> RealInterval:
    ends = [a * b for a in (x[0].low, x[0].high) for b in (x[1].low, x[1].high)]
    return RealInterval(min(ends), max(ends))


def _hull(_: Operator, x: Sequence[RealInterval]) -> RealInterval:
    found = x[0]
    for other in x[1:]:
        found = found.hull(other)
    return found


# Of sums, means and what joins tensors the bounds are of the size of what is seen. Those of
# products of activations are not: where they are large together is for data to say.
BOUNDED: dict[str, Callable[[Operator, Sequence[RealInterval]], RealInterval]] = {
    "ADD": _sum,
    "SUB": _difference,
    "MEAN": lambda _, x: x[0],
    "CONCATENATION": _hull,
    "PACK": _hull,
}
SCALED: dict[str, Callable[[Operator, Sequence[RealInterval]], RealInterval]] = {"MUL": _product}
