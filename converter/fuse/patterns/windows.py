# SPDX-License-Identifier: Apache-2.0
"""Which tokens of a block see each other: all, or those of a window of a grid (Swin, S3).

How tokens are rolled, cut and put back is read from element numbers: a row of q, k and v is a
token of what they are projected from, a row of the output projection's result one of the residual.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import trace_joined
from converter.fuse.patterns.attention_layers import Heads, Output
from converter.tflite import GraphView

Index = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class WindowGrid:
    """Windows of `window` x `window` tokens of a grid that was rolled by `shift`."""

    height: int
    width: int
    window: int
    shift: int

    @property
    def tokens(self) -> Index:
        """Numbers of the tokens, [windows, tokens of a window]."""
        down, across = self.height // self.window, self.width // self.window
        numbers = np.arange(self.height * self.width).reshape(self.height, self.width)
        rolled = np.roll(numbers, (-self.shift, -self.shift), (0, 1))
        cut = rolled.reshape(down, self.window, across, self.window).swapaxes(1, 2)
        return np.asarray(cut.reshape(down * across, -1))

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Whether the roll brought two tokens together, [windows, tokens, tokens]."""
        rows, columns = np.divmod(self.tokens, self.width)
        regions = 2 * (rows < self.shift) + (columns < self.shift)
        return np.asarray(regions[:, :, None] != regions[:, None, :])


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """Groups of the products as heads of windows.

    Attributes:
      h: what q, k and v are projected from.
      tokens: of all windows.
      groups: numbers of the products' groups, [windows, heads].
      order: places of a window's tokens in its groups, [windows, tokens of a window].
      grid: None where all tokens see all.
      ops: operators that roll and cut the tokens.
    """

    h: int
    tokens: int
    groups: Index
    order: Index
    grid: WindowGrid | None
    ops: tuple[int, ...]

    @property
    def heads(self) -> int:
        return int(self.groups.shape[1])

    def columns(self, of_groups: Index, what: str) -> Index:
        """Columns [heads, features] of the columns [groups, features] that all windows have.

        Raises:
          NoMatchError: windows differ.
        """
        columns = of_groups[self.groups]
        if np.any(columns != columns[:1]):
            raise NoMatchError(f"{what} takes different features for different windows")
        return np.asarray(columns[0])

    def with_shared_together(self, keys: Index, values: Index) -> tuple[Seen, int]:
        """(this with the heads that share keys and values as neighbours, heads of keys).

        Args:
          keys, values: columns of each head, [heads, features].
        """
        both = np.concatenate([keys, values], axis=1)
        _, first, which = np.unique(both, axis=0, return_index=True, return_inverse=True)
        which = np.argsort(np.argsort(first))[which.reshape(-1)]  # in the order of the heads
        counts = np.bincount(which)
        if np.any(counts != counts[0]):
            return self, self.heads  # each has its own, of the same weights
        order = np.argsort(which, kind="stable")
        return dataclasses.replace(self, groups=self.groups[:, order]), len(counts)

    def of_pairs(self, values: NDArray) -> NDArray:  # type: ignore[type-arg]
        """[windows, heads, tokens, tokens] in the grid's order, of [groups, tokens, tokens]."""
        found = values.reshape(self.groups.size, *values.shape[-2:])[self.groups]
        order = self.order[:, None]
        found = np.take_along_axis(found, order[..., None], 2)
        return np.take_along_axis(found, order[:, :, None], 3)


def match_tokens(view: GraphView, heads: Sequence[Heads], output: Output) -> Seen:
    """Which rows of q, k, v and of the result are which tokens.

    Raises:
      NoMatchError: they are no windows of a grid, or the result goes to other tokens.
    """
    groups, tokens = output.places.rows.shape
    straight = np.broadcast_to(np.arange(tokens), (groups, tokens))
    found = {"attention result": output.tokens[output.places.rows]}
    found |= {each.name: each.places.rows for each in heads}
    mixed = next((n for n, rows in found.items() if not np.array_equal(rows, straight)), None)
    sources = {each.projection.input for each in heads}
    if mixed is None:
        if len(sources) != 1:
            raise NoMatchError("q, k and v are made from different tensors")
        order = np.arange(tokens)[None]
        return Seen(sources.pop(), tokens, np.arange(groups)[None], order, None, ())
    try:
        return _windows(view, heads, found["attention result"])
    except NoMatchError as error:
        raise NoMatchError(f"{mixed} mixes tokens: {error}") from error


def _windows(view: GraphView, heads: Sequence[Heads], results: Index) -> Seen:
    bases: set[int] = set()
    ops: set[int] = set()
    rows = []
    for each in heads:
        width = each.projection.first.weights.shape[1]
        trace = trace_joined(view, each.projection.input)
        index = trace.index.reshape(-1, width)
        if np.any(index != index[:, :1] + np.arange(width)) or np.any(index[:, 0] % width):
            raise NoMatchError(f"{each.name} reads features of several tokens")
        rows.append((index[:, 0] // width)[each.places.rows])
        bases.add(trace.base)
        ops.update(trace.ops)
    if len(bases) != 1:
        raise NoMatchError("q, k and v are made from different tensors")
    if any(not np.array_equal(results, each) for each in rows):
        raise NoMatchError("queries, keys, values and results are not of the same tokens")
    return _by_windows(bases.pop(), results, tuple(sorted(ops)))


def _by_windows(h: int, tokens: Index, ops: tuple[int, ...]) -> Seen:
    """Of the tokens of each group, [groups, tokens of a window]."""
    windows, which = np.unique(tokens, axis=0, return_inverse=True)
    count = len(windows)
    heads = len(tokens) // count
    total = windows.size
    if heads * count != len(tokens) or np.any(np.bincount(which.reshape(-1)) != heads):
        raise NoMatchError("windows have different numbers of heads")
    if not np.array_equal(np.sort(windows, axis=None), np.arange(total)):
        raise NoMatchError("a token is in several windows, or in none")
    groups = np.argsort(which.reshape(-1), kind="stable").reshape(count, heads)
    for grid in _grids(total, tokens.shape[1]):
        window_of = np.empty(total, np.int64)
        window_of[windows.reshape(-1)] = np.repeat(np.arange(count), tokens.shape[1])
        place_of = np.empty(total, np.int64)
        place_of[windows.reshape(-1)] = np.tile(np.arange(tokens.shape[1]), count)
        wanted = grid.tokens
        if np.any(window_of[wanted] != window_of[wanted][:, :1]):
            continue
        return Seen(h, total, groups[window_of[wanted][:, 0]], place_of[wanted], grid, ops)
    raise NoMatchError(f"{count} groups of {tokens.shape[1]} tokens are no windows of a grid")


def _grids(tokens: int, of_window: int) -> Iterator[WindowGrid]:
    """All grids of so many tokens with square windows, those that are not rolled first."""
    side = math.isqrt(of_window)
    if side * side != of_window:
        return
    shapes = [(h, tokens // h) for h in range(side, tokens + 1, side) if tokens % h == 0]
    shapes = [(h, w) for h, w in shapes if w % side == 0]
    for shift in range(side):
        # The squarest first: two grids of the same windows differ in name only.
        for height, width in sorted(shapes, key=lambda s: abs(s[0] - s[1])):
            yield WindowGrid(height, width, side, shift)
