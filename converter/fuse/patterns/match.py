# SPDX-License-Identifier: Apache-2.0
"""What every match of a pattern says."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from converter.fuse.arithmetic import Range
from tflm_custom_ops.ops import Params


class Match(Protocol):
    """Operators of the plain graph that one fused operator replaces.

    Class attributes:
      READS_STREAM, WRITES_STREAM: whether x (y) is the residual stream and may be int16. Both: x
        and y have one type.
    Attributes:
      inputs, x, y: tensor indices; x is the first of the inputs.
      ops: operators that are replaced.
      kept: tensors inside, besides x and y, that the fused operator has in the same type. The gate
        limits the float result to their ranges, as both graphs do.
    """

    READS_STREAM: ClassVar[bool]
    WRITES_STREAM: ClassVar[bool]

    @property
    def inputs(self) -> tuple[int, ...]: ...

    @property
    def x(self) -> int: ...

    @property
    def y(self) -> int: ...

    @property
    def ops(self) -> tuple[int, ...]: ...

    @property
    def kept(self) -> tuple[int, ...]: ...

    @property
    def ends_in_sum(self) -> bool: ...

    @property
    def averaged(self) -> int | None: ...


class MatchDefaults:
    """What a match says of itself unless its operators are of another kind."""

    @property
    def ends_in_sum(self) -> bool:
        """Whether its last operator is a sum that may be left to an ADD."""
        return False

    @property
    def averaged(self) -> int | None:
        """The tensor inside of whose tokens it takes the mean, None without such."""
        return None


class OneInput(MatchDefaults):
    """A match whose operator reads one activation."""

    x: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """As a match says it."""
        return (self.x,)


class OwnLowering(Match, Protocol):
    """A match whose operator no other shares code with."""

    def lower(self, type_of: Callable[[int], Range]) -> Params:
        """The operator's parameters.

        Args:
          type_of: types of the activations in the fused graph.

        Raises:
          BoundError: an integer would overflow.
        """
        ...
