# SPDX-License-Identifier: Apache-2.0
"""The constants on a block's scores: what the block stores, or knows from its windows.

A rolled grid hides keys that come from the opposite edge; that is no table. What is left is one
bias for all windows, by the distance of query and key where it is Swin's.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import BoundError
from converter.fuse.patterns.score_bias import hidden_keys, in_units, score_bias
from converter.fuse.patterns.windows import WindowGrid
from tflm_custom_ops.ops.attention.params import BiasKind

Real = NDArray[np.float64]
Hidden = NDArray[np.bool_]
_EQUAL = 1e-9  # of the largest entry; entries of one constant are the same numbers


@dataclasses.dataclass(frozen=True, eq=False)
class BlockBias:
    """Fields of `Attention`.

    Attributes:
      values: int16 [heads or 1, tokens, tokens] or [heads, rows, columns], None for no bias.
      largest: bound of |values << shift|, hidden keys left out.
      grid: whose windows see each other.
    """

    kind: BiasKind
    values: NDArray[np.int16] | None
    shift: int
    largest: int
    causal: bool
    grid: WindowGrid | None


def no_bias(grid: WindowGrid | None) -> BlockBias:
    """Where the scores have no constants.

    Raises:
      BoundError: the grid is rolled.
    """
    if grid is not None and grid.shift:
        raise BoundError("windows of a rolled grid see tokens of opposite edges")
    return BlockBias(BiasKind.NONE, None, 0, 0, False, grid)


def block_bias(
    bias: Real, replaced: Hidden, unit: float, limits: tuple[float, float], grid: WindowGrid | None
) -> BlockBias:
    """The bias of a block.

    Args:
      bias, replaced, unit, limits: of `score_bias`, [windows, heads, tokens, tokens].
      grid: None: all tokens see all.

    Raises:
      BoundError: windows have different biases, or `score_bias` does.
    """
    if grid is not None:
        bias, replaced = _of_all_windows(bias, replaced, limits, grid)
    found = score_bias(bias, replaced, unit, limits)
    if found.past_tokens:
        raise BoundError("queries see keys after their own: the block has none or all of them")
    if found.values is None:
        kind = BiasKind.NONE
    else:
        kind = BiasKind.MASK if found.values.shape[1] == 1 else BiasKind.FULL
    plain = BlockBias(kind, found.values, found.shift, found.largest, found.causal, grid)
    if found.causal and grid is not None:
        raise BoundError("causal attention in windows of a grid")
    if kind is not BiasKind.FULL or found.causal or np.any(replaced):
        return plain
    square = grid or _square(bias.shape[-1])
    table = None if square is None else _distances(bias[0], square.window)
    if table is None or np.any(hidden_keys(bias, replaced, limits)):
        return plain
    units = in_units(table - table.max(axis=(1, 2), keepdims=True), unit)
    if units is None:
        return plain
    values, shift = units
    largest = int(np.max(np.abs(values.astype(np.int64)))) << shift
    return BlockBias(BiasKind.RELATIVE, values, shift, largest, False, square)


def _of_all_windows(
    bias: Real, replaced: Hidden, limits: tuple[float, float], grid: WindowGrid
) -> tuple[Real, Hidden]:
    """[1, heads, tokens, tokens] that all windows have, apart from what the roll hides."""
    apart = grid.apart[:, None]
    hidden = hidden_keys(bias, replaced, limits)
    if np.any(apart & ~hidden):
        raise BoundError("windows of a rolled grid see tokens of opposite edges")
    shape = bias.shape[1:]
    # Of each pair the first window that does not hide it.
    first = np.broadcast_to(np.argmin(apart, axis=0)[None], (1, *shape))
    common = np.take_along_axis(bias, first, 0)
    common_replaced = np.take_along_axis(replaced, first, 0)
    tolerance = _EQUAL * max(1.0, float(np.max(np.abs(bias))))
    same = (np.abs(bias - common) <= tolerance) & (replaced == common_replaced)
    if not np.all(same | apart):
        raise BoundError("windows have different constants on their scores")
    never = np.broadcast_to(np.all(apart, axis=0)[None], common.shape)
    return np.where(never, 0.0, common), common_replaced & ~never


def _square(tokens: int) -> WindowGrid | None:
    """All tokens as one window."""
    side = math.isqrt(tokens)
    return WindowGrid(side, side, side, 0) if side > 1 and side * side == tokens else None


def _distances(bias: Real, side: int) -> Real | None:
    """[heads, 2 side - 1, 2 side - 1] by row and column of key less query; None if it is not."""
    row, column = np.divmod(np.arange(side * side), side)
    down, right = row - row[:, None] + side - 1, column - column[:, None] + side - 1
    table = np.empty((len(bias), 2 * side - 1, 2 * side - 1))
    table[:, down, right] = bias
    return table if np.array_equal(table[:, down, right], bias) else None
