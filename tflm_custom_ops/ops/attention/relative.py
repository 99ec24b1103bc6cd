# SPDX-License-Identifier: Apache-2.0
"""Relative keys and values (docs/operators.md, Relative keys and values)."""

from __future__ import annotations

import numpy as np

from tflm_custom_ops.ops.attention.params import RELATIVE_BITS, Attention
from tflm_custom_ops.reference.requant import Int64Array, exact_matmul
from tflm_custom_ops.reference.softmax import scale_of


def relative_entries(op: Attention) -> Int64Array:
    """Table entries ``[2, tokens, tokens]`` of query i and key j, by row and by column distance."""
    far, width = op.relative_distance, op.grid_width
    places = np.arange(op.tokens) - op.prefix_tokens
    entries = np.empty((2, op.tokens, op.tokens), np.int64)
    for table, at in enumerate((places // width, places % width)):
        entries[table] = np.clip(at[None, :] - at[:, None], -far, far) + far + 1
    entries[:, : op.prefix_tokens] = entries[:, :, : op.prefix_tokens] = 0
    entries[1] += 2 * far + 2
    return entries


def relative_scores(op: Attention, entries: Int64Array, queries: Int64Array) -> Int64Array:
    """``[tokens, tokens]`` of queries minus their zero point, in units of q.k."""
    assert op.relative_keys is not None
    products = exact_matmul(queries, op.relative_keys.T.astype(np.int64))
    products = (
        (products << RELATIVE_BITS) + ((1 << op.relative_key_shift) >> 1)
    ) >> op.relative_key_shift
    by_row, by_column = (np.take_along_axis(products, table, 1) for table in entries)
    return by_row + by_column


def relative_sums(op: Attention, entries: Int64Array, e: Int64Array) -> Int64Array:
    """``[tokens, value_dim]`` of exponentials e, in units of A << g."""
    assert op.relative_values is not None
    total = e.sum(axis=1)
    sums = np.zeros((op.tokens, op.relative_values.shape[1]), np.int64)
    for table in entries:
        np.add.at(sums, (np.arange(op.tokens)[:, None], table), e)
    weights = (sums << scale_of(total)[:, None]) >> 8
    return exact_matmul(weights, op.relative_values.T.astype(np.int64)) << (
        8 + RELATIVE_BITS - op.relative_value_shift
    )
