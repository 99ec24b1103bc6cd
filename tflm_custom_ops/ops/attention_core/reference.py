# SPDX-License-Identifier: Apache-2.0
"""Attention between projected tensors (docs/operators.md, Attention core)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.attention_core.params import AttentionCore, View
from tflm_custom_ops.reference.requant import Int64Array, exact_matmul
from tflm_custom_ops.reference.softmax import biased, context, seen_exponentials


def seen(view: View, tensor: ArrayLike, *sizes: int) -> Int64Array:
    """The elements of a view, ``[batches, heads, tokens, channels]``."""
    values: Int64Array = np.asarray(tensor, np.int64).reshape(-1)[view.indices(*sizes)]
    return values


def _scores(op: AttentionCore, batch: int, head: int, q: Int64Array, k: Int64Array) -> Int64Array:
    """``[tokens, key_tokens]`` with the bias."""
    scores = exact_matmul(q - op.q_zero_point, k.T)
    if op.bias is None:
        return scores
    return biased(scores, op.bias[batch % op.bias_batches, head % op.bias_heads], op.bias_shift)


def run_attention_core(op: AttentionCore, q: ArrayLike, k: ArrayLike, v: ArrayLike) -> np.ndarray:
    """int8 tensors of any shape -> int8 ``[out.elements]``."""
    queries = seen(op.q, q, op.batches, op.heads, op.tokens, op.head_dim)
    keys = seen(op.k, k, op.batches, op.key_heads, op.key_tokens, op.head_dim)
    values = seen(op.v, v, op.batches, op.key_heads, op.key_tokens, op.value_dim)
    to = op.out.indices(op.batches, op.heads, op.tokens, op.value_dim)
    y = np.empty(op.out.elements, np.int8)
    group = op.heads // op.key_heads
    for b in range(op.batches):
        for h in range(op.heads):
            scores = _scores(op, b, h, queries[b, h], keys[b, h // group])
            e = seen_exponentials(op, scores, op.past_tokens if op.causal else None)
            y[to[b, h]] = context(op, e, values[b, h // group], op.v_zero_point)
    return y
