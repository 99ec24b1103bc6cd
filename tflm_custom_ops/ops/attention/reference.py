# SPDX-License-Identifier: Apache-2.0
"""The attention block (docs/operators.md, Attention block)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.attention.params import Attention
from tflm_custom_ops.ops.attention.relative import (
    relative_entries,
    relative_scores,
    relative_sums,
)
from tflm_custom_ops.ops.attention.windows import TokenWindow, bias_of, windows_of
from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.reference.linear import projection, projection_residual
from tflm_custom_ops.reference.norm import normalize
from tflm_custom_ops.reference.requant import Int64Array, exact_matmul
from tflm_custom_ops.reference.softmax import biased, context, exponentials, seen_exponentials


def run_attention(op: Attention, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> y of the same shape and type."""
    x = np.asarray(x).reshape(op.tokens, op.embed_dim)
    h = x if op.norm is None else normalize(op.norm, x, op.residual.zero_point)
    q, k, v = (projection(p, h) for p in (op.q, op.k, op.v))
    result = np.empty((op.tokens, op.heads * op.value_dim), np.int64)
    for window in windows_of(op):
        for head in range(op.heads):
            key_head = head // (op.heads // op.key_heads)
            of_head = (
                q[window.tokens, _part(head, op.head_dim)],
                k[window.tokens, _part(key_head, op.head_dim)],
                v[window.tokens, _part(key_head, op.value_dim)],
            )
            context_of_head = _context(op, window, head, *of_head)
            result[window.tokens, _part(head, op.value_dim)] = context_of_head
    y = projection_residual(op.out, result, op.residual, x)
    return y.astype(residual_dtype(op.residual.bits))


def _part(head: int, width: int) -> slice:
    return slice(head * width, (head + 1) * width)


def _context(
    op: Attention, window: TokenWindow, head: int, q: Int64Array, k: Int64Array, v: Int64Array
) -> Int64Array:
    """Of one head of a window's tokens: q, k ``[key_tokens, head_dim]``, v likewise."""
    entries = relative_entries(op) if op.relative_distance else None
    queries = q - op.q.up.out_zero_point
    scores = exact_matmul(queries, k.T)
    if entries is not None:
        scores = scores + relative_scores(op, entries, queries)
    bias = bias_of(op, window, head)
    if bias is not None:
        scores = biased(scores, bias, op.bias_shift)
    if op.causal or bias is not None or entries is not None:
        e = seen_exponentials(op, scores, 0 if op.causal else None)
    else:
        e = exponentials(op, scores)
    added = None if entries is None else relative_sums(op, entries, e)
    return context(op, e, v, op.v.up.out_zero_point, added)
