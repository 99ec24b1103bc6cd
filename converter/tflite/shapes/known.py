# SPDX-License-Identifier: Apache-2.0
"""What the shape rules see of an operator, and what they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from converter.tflite.model import Operator, Tensor

Shape = tuple[int, ...]
Array = NDArray[Any]


class UnknownError(LookupError):
    """The shape depends on what only a run computes."""


class InvalidShapeError(ValueError):
    """No run of the operator gives any shape."""


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of an operator's inputs.

    Attributes:
      op: the operator.
      shapes: of its inputs; () for an absent one.
      values: of constants; None where a run computes them.
      outputs: how many it has.
    """

    op: Operator
    shapes: tuple[Shape, ...]
    values: tuple[Array | None, ...]
    outputs: int = 1

    def value(self, position: int) -> Array:
        found = self.values[position] if position < len(self.values) else None
        if found is None:
            raise UnknownError
        return found

    def all_values(self) -> list[Array]:
        return [self.value(i) for i in range(len(self.values))]

    def integers(self, position: int) -> list[int]:
        """A constant's elements."""
        return [int(n) for n in self.value(position).reshape(-1)]

    @property
    def options(self) -> Any:
        return self.op.options


def expect(condition: bool, reason: str) -> None:
    if not condition:
        raise InvalidShapeError(reason)


def axis_of(axis: int, rank: int) -> int:
    """A dimension's number; negative ones count from the end."""
    expect(-rank <= axis < rank, f"got axis {axis} of {rank} dimensions")
    return axis % rank


def axes_of(k: Known, position: int = 1) -> tuple[int, ...]:
    rank = len(k.shapes[0])
    return tuple(sorted({axis_of(a, rank) for a in k.integers(position)}))


def broadcast(*shapes: Shape) -> Shape:
    """As NumPy, without its limits on size."""
    rank = max(map(len, shapes))
    result = []
    for sizes in zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True):
        wide = {n for n in sizes if n != 1}
        expect(len(wide) <= 1, f"got shapes {[list(s) for s in shapes]} that do not broadcast")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def known_of(tensors: Sequence[Tensor], op: Operator) -> Known:
    """What is known of an operator of a graph; absent inputs have the shape ()."""
    present = [tensors[i] if i >= 0 else None for i in op.inputs]
    return Known(
        op,
        tuple(() if t is None else t.shape for t in present),
        tuple(None if t is None else t.data for t in present),
        len(op.outputs),
    )
