# SPDX-License-Identifier: Apache-2.0
"""A tensor of a checkpoint, read when it is asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class CheckpointFormatError(ValueError):
    """A checkpoint is damaged, hostile, or of a kind that is not read; the message says."""


_MOST_AXES = 8


@dataclasses.dataclass(frozen=True, eq=False)
class CheckpointTensor:
    """A tensor that lies in a file.

    Attributes:
      data: the bytes of its storage.
      kind: one of `ITEM_BYTES`.
      shape: elements along each axis.
      strides: steps along each axis, in elements.
      offset: of the first element, in elements.
    """

    data: memoryview
    kind: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.strides) <= _MOST_AXES:
            raise ValueError(f"a tensor of {len(self.shape)} axes, expected {_MOST_AXES} at most")
        sizes = (*self.shape, *self.strides, self.offset)
        if not all(type(n) is int and 0 <= n < 2**40 for n in sizes):
            raise ValueError(f"a tensor of shape and strides {sizes!r:.90}")
        # A stride of zero would make much of little.
        bare = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n > 1]
        last = self.offset + sum((n - 1) * s for n, s in bare)
        held = len(self.data) // ITEM_BYTES[self.kind]
        if 0 not in self.shape and (last >= held or any(s == 0 for _, s in bare)):
            raise ValueError(
                f"a tensor of shape {self.shape} needs {last + 1} elements, its storage has {held}"
            )

    def numbers(self) -> NDArray[np.float32]:
        """Its values, in a copy.

        Raises:
          ValueError: they are no floating-point numbers, or not finite.
        """
        if self.kind not in FLOATS:
            raise ValueError(f"got {self.kind}, expected floating-point numbers")
        item = ITEM_BYTES[self.kind]
        flat = np.frombuffer(self.data, FLOATS[self.kind], len(self.data) // item)
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, tuple(item * s for s in self.strides), writeable=False
        )
        if self.kind == "bfloat16":  # the upper half of a float32
            found = (view.astype(np.uint32) << 16).view(np.float32)
        else:
            found = view.astype(np.float32)
        if not np.isfinite(found).all():
            raise ValueError("it holds values that are not finite")
        return found


FLOATS = {"float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2"}
ITEM_BYTES = {
    "float32": 4,
    "float64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}

Tensors = Mapping[str, CheckpointTensor]


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of a tensor without gaps, the last axis the fastest."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(1, size)
    return tuple(reversed(strides))


def size_of(path: str) -> int:
    """In bytes."""
    return os.stat(path).st_size
