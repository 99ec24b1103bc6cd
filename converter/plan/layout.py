# SPDX-License-Identifier: Apache-2.0
"""Where everything of a model lies in the arena."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Span:
    """Bytes ``[offset, offset + size_bytes)`` of the arena."""

    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes

    def overlaps(self, other: Span) -> bool:
        """Whether they share a byte."""
        return self.offset < other.end and other.offset < self.end


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where everything of a model lies in the arena.

    Attributes:
      arena_bytes: size of the arena, scratch included.
      lower_bound_bytes: no plan of this schedule is smaller.
      tensors: per tensor of the graph its bytes; None for a constant, an unused tensor, and the
        image of a streamed model.
      scratch: per operator its scratch; None where it needs none.
      strip: streamed models: the buffer for one strip of image rows; else None.
    """

    arena_bytes: int
    lower_bound_bytes: int
    tensors: tuple[Span | None, ...]
    scratch: tuple[Span | None, ...]
    strip: Span | None = None

    @property
    def streamed(self) -> bool:
        """Whether the image is pushed row by row instead of lying in the arena."""
        return self.strip is not None

    @property
    def optimal(self) -> bool:
        return self.arena_bytes == self.lower_bound_bytes
