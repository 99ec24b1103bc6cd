# SPDX-License-Identifier: Apache-2.0
"""Whether elements that are numbered in four dimensions stand at even distances."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Strides:
    """Element (b, h, t, c) stands at offset + b * batch + h * head + t * token + c * channel."""

    offset: int
    batch: int
    head: int
    token: int
    channel: int

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """Of batch, head, token and channel."""
        return self.batch, self.head, self.token, self.channel

    def numbers(self, shape: tuple[int, int, int, int]) -> Index:
        """The elements' numbers, int64 of that shape."""
        grid = np.ogrid[tuple(slice(n) for n in shape)]
        moves = (step * axis for step, axis in zip(self.steps, grid, strict=True))
        return np.asarray(self.offset + sum(moves), np.int64)


def strides_of(index: Index) -> Strides | None:
    """The strides of int64 [batches, heads, tokens, channels] element numbers; None if uneven.

    A dimension of one element has stride 0. None too where a stride is negative.
    """
    origin = int(index[0, 0, 0, 0])
    steps = []
    for axis, length in enumerate(index.shape):
        at = tuple(1 if i == axis else 0 for i in range(4))
        steps.append(int(index[at]) - origin if length > 1 else 0)
    found = Strides(origin, *steps)
    last = origin + sum(step * (n - 1) for step, n in zip(steps, index.shape, strict=True))
    if min(steps) < 0 or last != int(index[-1, -1, -1, -1]):  # the cheap test first
        return None
    shape = (index.shape[0], index.shape[1], index.shape[2], index.shape[3])
    return found if np.array_equal(index, found.numbers(shape)) else None
