# SPDX-License-Identifier: Apache-2.0
"""Tokens that see each other, and the bias on their scores (docs/operators.md, Windows)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.ops.attention.params import Attention, BiasKind
from tflm_custom_ops.reference.requant import Int64Array
from tflm_custom_ops.reference.softmax import MASKED


@dataclasses.dataclass(frozen=True, eq=False)
class TokenWindow:
    """Attributes:
    tokens: numbers of those that see each other, ``[key_tokens]``.
    regions: of each, a number; those of different ones do not see each other after all.
    """

    tokens: Int64Array
    regions: Int64Array


def windows_of(op: Attention) -> Iterator[TokenWindow]:
    """The windows of the grid, or all tokens as one."""
    if op.window == 0:
        yield TokenWindow(np.arange(op.tokens), np.zeros(op.tokens, np.int64))
        return
    rows, columns = np.arange(op.grid_height), np.arange(op.grid_width)
    for row in range(0, op.grid_height, op.window):
        for column in range(0, op.grid_width, op.window):
            down, right = (
                np.arange(first, first + op.window) + op.window_shift for first in (row, column)
            )
            tokens = rows[down % op.grid_height, None] * op.grid_width
            tokens = tokens + columns[right % op.grid_width]
            regions = 2 * (down[:, None] >= op.grid_height) + (right >= op.grid_width)
            yield TokenWindow(tokens.reshape(-1), regions.reshape(-1))


def bias_of(op: Attention, window: TokenWindow, head: int) -> NDArray[np.int16] | None:
    """What is added to the scores of a head, ``[key_tokens, key_tokens]``; None for nothing."""
    bias = _stored(op, head)
    other = window.regions[:, None] != window.regions
    if not np.any(other):
        return bias
    return np.where(other, np.int16(MASKED), np.int16(0) if bias is None else bias)


def _stored(op: Attention, head: int) -> NDArray[np.int16] | None:
    if op.bias is None:
        return None
    if op.bias_kind is not BiasKind.RELATIVE:
        planes = op.bias.reshape(-1, op.key_tokens, op.key_tokens)
        return np.asarray(planes[head % len(planes)])
    table = op.bias.reshape(op.heads, 2 * op.window - 1, 2 * op.window - 1)[head]
    row, column = np.divmod(np.arange(op.key_tokens), op.window)
    far = op.window - 1
    return np.asarray(table[row - row[:, None] + far, column - column[:, None] + far])
