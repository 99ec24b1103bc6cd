# SPDX-License-Identifier: Apache-2.0
"""Attention blocks on windows of a grid in many spellings, made with `PlainGraph`."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.converter.fuse.plain_graph import Array, PlainGraph


@dataclasses.dataclass(frozen=True)
class WindowSpelling:
    """How a block on windows is written.

    Attributes:
      window, down, across: tokens of a window's side, and how many windows.
      shift: rows and columns that the grid is rolled by.
      cut: "five" dimensions (PyTorch, timm) or "four" (tokens of a row of a window side by side).
      packed: one linear layer for q, k and v; else three.
      late: q, k and v are cut into windows, else the tokens before.
      early: the context is put back, else the output projection's result.
      roll: "slices" that are joined, or "gather".
      bias: "none", "distance" (Swin's), "any" (of a pair's places).
      mask: what hides tokens of opposite edges: "apart" (an ADD of its own) or "joined" (with the
        bias in one constant); only where the grid is rolled.
      score_rank_5: scores have a dimension for the batch beside that for windows.
    """

    window: int = 2
    down: int = 2
    across: int = 3
    heads: int = 2
    head_dim: int = 4
    embed_dim: int = 6
    shift: int = 0
    cut: str = "five"
    packed: bool = True
    late: bool = False
    early: bool = False
    roll: str = "slices"
    bias: str = "distance"
    mask: str = "apart"
    score_rank_5: bool = False

    @property
    def tokens(self) -> int:
        return self.window**2 * self.down * self.across

    @property
    def windows(self) -> int:
        return self.down * self.across


def window_attention(g: PlainGraph, x: int, s: WindowSpelling) -> int:
    """The block's output."""
    return g.add(x, window_branch(g, g.layer_norm(x), s))


def window_branch(g: PlainGraph, h: int, s: WindowSpelling) -> int:
    """What the block adds to the stream."""
    inner = s.heads * s.head_dim
    keys = s.window**2
    source = h if s.late else partition(g, h, s)
    if s.packed:
        packed = g.linear(source, 3 * inner)
        packed = partition(g, packed, s) if s.late else packed
        packed = g.reshape(packed, s.windows, keys, 3 * inner)
        parts = [g.slice(packed, (0, 0, i * inner), (s.windows, keys, inner)) for i in range(3)]
    else:
        parts = [g.linear(source, inner) for _ in range(3)]
        parts = [partition(g, part, s) for part in parts] if s.late else parts
    q, k, v = (by_head(g, part, s) for part in parts)
    q = g.mul(q, g.constant(np.array(s.head_dim**-0.5)))
    p = g.softmax(constants(g, g.matmul(q, k, adj_y=True), s))
    context = g.transpose(g.matmul(p, v), 0, 2, 1, 3)
    context = g.reshape(context, s.windows * keys, inner)
    if s.early:
        return g.linear(join(g, context, s, inner), s.embed_dim, 0.5)
    return join(g, g.linear(context, s.embed_dim, 0.5), s, s.embed_dim)


def by_head(g: PlainGraph, x: int, s: WindowSpelling) -> int:
    split = g.reshape(x, s.windows, s.window**2, s.heads, s.head_dim)
    return g.transpose(split, 0, 2, 1, 3)


def partition(g: PlainGraph, x: int, s: WindowSpelling) -> int:
    """[1, tokens, width] to windows side by side."""
    width = g.value(x).shape[-1]
    height, across = s.window * s.down, s.window * s.across
    x = rolled(g, g.reshape(x, 1, height, across, width), s, s.shift, s.shift)
    if s.cut == "five":
        x = g.reshape(x, s.down, s.window, s.across, s.window, width)
        x = g.transpose(x, 0, 2, 1, 3, 4)
    else:
        x = g.reshape(x, s.down, s.window, s.across, s.window * width)
        x = g.transpose(x, 0, 2, 1, 3)
    return g.reshape(x, s.windows * s.window**2, width)


def join(g: PlainGraph, x: int, s: WindowSpelling, width: int) -> int:
    """Back."""
    height, across = s.window * s.down, s.window * s.across
    x = g.reshape(x, s.down, s.across, s.window, s.window * width)
    x = g.reshape(g.transpose(x, 0, 2, 1, 3), 1, height, across, width)
    back = (height - s.shift, across - s.shift) if s.shift else (0, 0)
    return g.reshape(rolled(g, x, s, *back), 1, s.tokens, width)


def rolled(g: PlainGraph, x: int, s: WindowSpelling, down: int, right: int) -> int:
    """Rows and columns [by:] and then [:by] of [1, rows, columns, width]."""
    for axis, by in ((1, down), (2, right)):
        if not by:
            continue
        shape = g.value(x).shape
        if s.roll == "gather":
            order = np.roll(np.arange(shape[axis]), -by)
            x = g.gather(x, tuple(int(i) for i in order), axis)
            continue
        begin, size, first = [0] * 4, list(shape), list(shape)
        begin[axis], size[axis], first[axis] = by, shape[axis] - by, by
        ends = g.slice(x, tuple(begin), tuple(size)), g.slice(x, (0,) * 4, tuple(first))
        x = g.concatenation(list(ends), axis)
    return x


def constants(g: PlainGraph, scores: int, s: WindowSpelling) -> int:
    """Bias and mask added."""
    keys = s.window**2
    bias = bias_of(g, s)
    mask = np.where(apart(s), -100.0, 0.0)[:, None]
    if not s.shift:
        return scores if bias is None else g.add(scores, g.constant(bias))
    if s.mask == "joined" or bias is None:
        added = mask if bias is None else mask + bias
        added = np.broadcast_to(added, (s.windows, s.heads, keys, keys))
    else:
        scores, added = g.add(scores, g.constant(bias)), mask
    if s.score_rank_5:
        scores = g.reshape(scores, 1, s.windows, s.heads, keys, keys)
        scores = g.add(scores, g.constant(added[None]))
        return g.reshape(scores, s.windows, s.heads, keys, keys)
    return g.add(scores, g.constant(added))


def bias_of(g: PlainGraph, s: WindowSpelling) -> Array | None:
    keys = s.window**2
    if s.bias == "none":
        return None
    if s.bias == "any":
        return g.rng.normal(0.0, 1.0, (s.heads, keys, keys))
    side = 2 * s.window - 1
    table = g.rng.normal(0.0, 1.0, (side, side, s.heads))
    rows, columns = np.divmod(np.arange(keys), s.window)
    down = rows[:, None] - rows + s.window - 1  # query less key, as Swin counts
    right = columns[:, None] - columns + s.window - 1
    return table[down, right].transpose(2, 0, 1)


def apart(s: WindowSpelling) -> Array:
    """[windows, tokens, tokens]: not of one part of the rolled grid, as Swin's code has it."""
    regions = np.zeros((s.window * s.down, s.window * s.across))
    if s.shift:
        parts = (slice(0, -s.window), slice(-s.window, -s.shift), slice(-s.shift, None))
        for number, (rows, columns) in enumerate((a, b) for a in parts for b in parts):
            regions[rows, columns] = number
    regions = regions.reshape(s.down, s.window, s.across, s.window).swapaxes(1, 2)
    regions = regions.reshape(s.windows, -1)
    return regions[:, :, None] != regions[:, None, :]
