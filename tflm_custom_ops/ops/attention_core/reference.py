# SPDX-License-Identifier: Apache-2.0
"""Attention between projected tensors (docs/operators.md, Attention core)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.attention_core.params import MASKED, AttentionCore, View
from tflm_custom_ops.reference.requant import Int64Array, exact_matmul
from tflm_custom_ops.reference.softmax import context, exponentials

MASKED_SCORE = -(1 << 30)  # less than any other


def seen(view: View, tensor: ArrayLike, *sizes: int) -> Int64Array:
    """The elements of a view, ``[batches, heads, tokens, channels]``."""
    values: Int64Array = np.asarray(tensor, np.int64).reshape(-1)[view.indices(*sizes)]
    return values


def _scores(op: AttentionCore, batch: int, head: int, q: Int64Array, k: Int64Array) -> Int64Array:
    """``[tokens, key_tokens]`` with the bias."""
    scores = exact_matmul(q - op.q_zero_point, k.T)
    if op.bias is None:
        return scores
    bias = op.bias[batch % op.bias_batches, head % op.bias_heads].astype(np.int64)
    return np.where(bias == MASKED, MASKED_SCORE, scores + (bias << op.bias_shift))


def _weights(op: AttentionCore, scores: Int64Array) -> Int64Array:
    """Exponentials; differences are cut off where their shift would leave int32."""
    least = scores.max(axis=1, keepdims=True) - (((1 << 31) - 1) >> op.score_shift)
    return exponentials(op, np.maximum(scores, least))


def _causal_weights(op: AttentionCore, scores: Int64Array) -> Int64Array:
    """Those of the keys that each query may see, else 0."""
    e = np.zeros_like(scores)
    for i, row in enumerate(scores):
        count = min(i + 1 + op.past_tokens, op.key_tokens)
        e[i, :count] = _weights(op, row[None, :count])[0]
    return e


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
            e = _causal_weights(op, scores) if op.causal else _weights(op, scores)
            y[to[b, h]] = context(op, e, values[b, h // group], op.v_zero_point)
    return y
