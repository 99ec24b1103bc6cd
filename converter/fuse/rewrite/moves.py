# SPDX-License-Identifier: Apache-2.0
"""The fewest operators that put a tensor's elements into a wanted order.

An order is given by element numbers: `index[i, j, ...]` is the number of the element of x that
stands at (i, j, ...) of the result.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.fuse.rewrite.building import Builder

Index = NDArray[np.int64]
Shape = tuple[int, ...]

MAX_RANK = 5  # of TRANSPOSE and SLICE in TensorFlow Lite Micro


@dataclasses.dataclass(frozen=True)
class Reshape:
    """The elements in the same order."""

    shape: Shape


@dataclasses.dataclass(frozen=True)
class Transpose:
    """Axes in another order."""

    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Slice:
    """A block."""

    begin: Shape
    size: Shape


Move = Reshape | Transpose | Slice


def moves_for(shape: Shape, index: Index) -> tuple[Move, ...] | None:
    """The shortest list of moves from a tensor of `shape` to the order `index`; None if unknown."""
    found: tuple[Move, ...] | None = None
    for candidate in _candidates(shape, index):
        if (found is None or len(candidate) < len(found)) and _is(shape, candidate, index):
            found = candidate
    return found


def steps_for(shape: Shape, index: Index) -> tuple[Move, ...] | None:
    """Moves of at most four dimensions to an order of all elements; None where it is no transpose.

    Where `moves_for` has none: blocks of axes are taken to their places one after the other
    (Hiera's windows of windows).
    """
    flat = index.reshape(-1)
    runs = _runs(flat) if flat.size == int(np.prod(shape, dtype=np.int64)) else None
    if runs is None:
        return None
    axes = sorted(range(len(runs)), key=lambda i: -runs[i][1])  # as they stand; wanted: in order
    moves: list[Move] = []
    for place in range(len(axes)):
        at = axes.index(place)
        if at == place:
            continue
        end = at + 1
        while end < len(axes) and axes[end] == place + end - at:
            end += 1
        blocks = (axes[:place], axes[place:at], axes[at:end], axes[end:])
        parts = tuple(math.prod(runs[i][0] for i in block) for block in blocks)
        moves += [Reshape(parts), Transpose((0, 2, 1, 3))]
        axes = [*blocks[0], *blocks[2], *blocks[1], *blocks[3]]
    found = (*moves, Reshape(index.shape))
    return found if _is(shape, found, index) else None


def emit(builder: Builder, x: int, moves: Sequence[Move], y: int | None = None) -> int:
    """Appends the moves; the last one writes `y` if it is given, else a new tensor.

    `y` cannot be given for no moves.
    """
    for place, move in enumerate(moves):
        last = y if place == len(moves) - 1 else None
        if isinstance(move, Reshape):
            x = builder.reshape(x, move.shape, last)
        elif isinstance(move, Transpose):
            x = builder.transpose(x, move.order, last)
        else:
            x = builder.slice(x, move.begin, move.size, last)
    return x


def _is(shape: Shape, moves: Sequence[Move], index: Index) -> bool:
    """Whether the moves give that order (they are checked, not believed)."""
    numbers = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    for move in moves:
        if isinstance(move, Reshape):
            numbers = numbers.reshape(move.shape)
        elif isinstance(move, Transpose):
            numbers = numbers.transpose(move.order)
        else:
            ends = zip(move.begin, move.size, strict=True)
            numbers = numbers[tuple(slice(b, b + n) for b, n in ends)]
    return numbers.shape == index.shape and bool(np.array_equal(numbers, index))


def _candidates(shape: Shape, index: Index) -> Iterator[tuple[Move, ...]]:
    size = int(np.prod(shape, dtype=np.int64))
    flat = index.reshape(-1)
    if not flat.size:
        return
    if flat.size < size:
        yield from _blocks(shape, index)
        return
    if flat.size > size:
        return
    if np.array_equal(flat, np.arange(size)):
        yield () if index.shape == shape else (Reshape(index.shape),)
        return
    runs = _runs(flat)
    if runs is not None:
        yield from _transposes(shape, index.shape, runs)


def _blocks(shape: Shape, index: Index) -> Iterator[tuple[Move, ...]]:
    """A block of x, of an order of its own behind it."""
    coordinates = np.unravel_index(index.reshape(-1), shape)
    begin = tuple(int(c.min()) for c in coordinates)
    size = tuple(int(c.max()) + 1 - b for c, b in zip(coordinates, begin, strict=True))
    if len(shape) > MAX_RANK or int(np.prod(size, dtype=np.int64)) != index.size:
        return
    inside = tuple(c - b for c, b in zip(coordinates, begin, strict=True))
    numbers = np.ravel_multi_index(inside, size).reshape(index.shape)
    rest = moves_for(size, numbers)
    if rest is not None:
        yield (Slice(begin, size), *rest)


def _runs(flat: Index) -> list[tuple[int, int]] | None:
    """(length, step) of nested runs, outermost first, that list these numbers; None if none do."""
    runs: list[tuple[int, int]] = []
    while flat.size > 1:
        step = int(flat[1] - flat[0])
        broken = np.flatnonzero(np.diff(flat) != step)
        length = int(broken[0]) + 1 if broken.size else flat.size
        if step <= 0 or flat.size % length:
            return None
        rows = flat.reshape(-1, length)
        if np.any(rows != rows[:, :1] + step * np.arange(length)):
            return None
        runs.insert(0, (length, step))
        flat = rows[:, 0]
    return runs


def _transposes(
    shape: Shape, result: Shape, runs: list[tuple[int, int]]
) -> Iterator[tuple[Move, ...]]:
    """Transposes of x as it is, as the result is, and of the fewest axes."""
    order = _axes_of(shape, runs)
    if order is not None and len(shape) <= MAX_RANK:
        moved = tuple(shape[i] for i in order)
        yield (Transpose(order),) if moved == result else (Transpose(order), Reshape(result))
        # Axes of one element may stand elsewhere.
        for at in _with_ones(shape, result, order):
            yield (Transpose(at),)
    by_step = sorted(range(len(runs)), key=lambda i: -runs[i][1])
    source = tuple(runs[i][0] for i in by_step)
    back = tuple(by_step.index(i) for i in range(len(runs)))
    moves: list[Move] = [] if source == shape else [Reshape(source)]
    moves.append(Transpose(back))
    if tuple(length for length, _ in runs) != result:
        moves.append(Reshape(result))
    if len(source) <= MAX_RANK:
        yield tuple(moves)


def _axes_of(shape: Shape, runs: list[tuple[int, int]]) -> tuple[int, ...] | None:
    """The order of x's axes in which its elements stand in these runs."""
    steps = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    order: list[int] = []
    for length, step in reversed(runs):
        inner: list[int] = []
        while length > 1:
            axis = next((i for i, s in enumerate(steps) if s == step and shape[i] > 1), None)
            if axis is None or length % shape[axis]:
                return None
            inner.insert(0, axis)
            length //= shape[axis]
            step *= shape[axis]
        order = [*inner, *order]
    ones = [i for i, n in enumerate(shape) if n == 1]
    return (*ones, *order) if len(ones) + len(order) == len(shape) else None


def _with_ones(shape: Shape, result: Shape, order: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The order with x's axes of one element where the result has such."""
    if len(shape) != len(result):
        return
    ones = [i for i in order if shape[i] == 1]
    others = [i for i in order if shape[i] != 1]
    at = tuple(ones.pop(0) if n == 1 and ones else others.pop(0) for n in result if ones or others)
    if len(at) == len(shape):
        yield at
