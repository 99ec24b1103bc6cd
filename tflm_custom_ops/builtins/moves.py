# SPDX-License-Identifier: Apache-2.0
"""Operators that only move values: one strided copy for all of them, of elements of any type.

TRANSPOSE, SLICE, SPLIT, PACK, TILE and the like differ in strides and offsets alone, which are
known when a model is compiled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RANK = 6  # VIT_COPY_RANK of vit_builtins.h
Array = NDArray[Any]
Shape6 = tuple[int, int, int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Copy:
    """y[y_offset + i . y_strides] = x[x_offset + i . x_strides] for each index i of ``shape``.

    Strides, offsets and ``block_bytes`` (copied at a time) are in bytes; an x stride of 0 repeats,
    a negative one reverses.
    """

    shape: Shape6
    x_strides: Shape6
    y_strides: Shape6
    x_offset: int
    y_offset: int
    block_bytes: int


@dataclasses.dataclass(frozen=True)
class Move:
    """One copy between an operand and a result.

    Attributes:
      x: number of the operand among the operator's inputs.
      y: number of the result among its outputs.
    """

    x: int
    y: int
    copy: Copy


@dataclasses.dataclass(frozen=True)
class Moves:
    """All copies of an operator.

    Attributes:
      output_bytes: size of each result.
      fill: the byte, signed or not, that everything has before the copies; None where they write
        all of it.
    """

    moves: tuple[Move, ...]
    output_bytes: tuple[int, ...]
    fill: int | None = None


def _padded(values: Sequence[int], filler: int) -> Shape6:
    a, b, c, d, e, f = (filler,) * (RANK - len(values)) + tuple(values)
    return a, b, c, d, e, f


def strided_copy(
    shape: Sequence[int],
    x: tuple[int, Sequence[int]],
    y: tuple[int, Sequence[int]],
    element_bytes: int,
) -> Copy:
    """The copy with as few dimensions, and as large blocks, as its strides allow.

    Args:
      shape: any number of dimensions.
      x, y: offset and strides, in bytes.
      element_bytes: size of one element.

    Raises:
      ValueError: more than `RANK` dimensions are left.
    """
    merged: list[list[int]] = []  # [size, x stride, y stride], outermost first
    for size, x_stride, y_stride in zip(shape, x[1], y[1], strict=True):
        if size == 1:
            continue
        outer = merged[-1] if merged else None
        if outer and outer[1:] == [x_stride * size, y_stride * size]:
            outer[:] = [outer[0] * size, x_stride, y_stride]
        else:
            merged.append([size, x_stride, y_stride])
    block = element_bytes
    if merged and merged[-1][1:] == [element_bytes, element_bytes]:
        block *= merged.pop()[0]
    if len(merged) > RANK:
        raise ValueError(f"got {len(merged)} dimensions to copy, expected at most {RANK}")
    sizes, x_strides, y_strides = zip(*merged, strict=True) if merged else ((), (), ())
    return Copy(
        *(_padded(sizes, 1), _padded(x_strides, 0), _padded(y_strides, 0)), x[0], y[0], block
    )


def _places(copy: Copy, offset: int, strides: Shape6) -> NDArray[np.int64]:
    """Byte addresses, [blocks, block_bytes]."""
    places = np.full((1,), offset, np.int64)
    for size, stride in zip(copy.shape, strides, strict=True):
        places = (places[:, None] + stride * np.arange(size)).reshape(-1)
    return places[:, None] + np.arange(copy.block_bytes)


def run(op: Moves, *operands: Array) -> tuple[Array, ...]:
    """The results as flat arrays of the operands' type."""
    kind = operands[op.moves[0].x].dtype
    results = [np.full(n, (op.fill or 0) & 0xFF, np.uint8) for n in op.output_bytes]
    for move in op.moves:
        x = np.ascontiguousarray(operands[move.x]).reshape(-1).view(np.uint8)
        copy = move.copy
        source = _places(copy, copy.x_offset, copy.x_strides)
        results[move.y][_places(copy, copy.y_offset, copy.y_strides)] = x[source]
    return tuple(y.view(kind) for y in results)
