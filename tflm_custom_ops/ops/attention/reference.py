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
from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.reference.linear import projection, projection_residual
from tflm_custom_ops.reference.norm import normalize
from tflm_custom_ops.reference.requant import exact_matmul
from tflm_custom_ops.reference.softmax import biased, context, exponentials, seen_exponentials


def run_attention(op: Attention, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> y of the same shape and type."""
    x = np.asarray(x).reshape(op.tokens, op.embed_dim)
    h = x if op.norm is None else normalize(op.norm, x)
    q, k, v = (projection(p, h) for p in (op.q, op.k, op.v))
    entries = relative_entries(op) if op.relative_distance else None
    heads = []
    for head in range(op.heads):
        part = slice(head * op.head_dim, (head + 1) * op.head_dim)
        queries = q[:, part] - op.q.up.out_zero_point
        scores = exact_matmul(queries, k[:, part].T)
        if entries is not None:
            scores = scores + relative_scores(op, entries, queries)
        if op.bias is not None:
            bias = op.bias.reshape(-1, op.tokens, op.key_tokens)
            scores = biased(scores, bias[head % len(bias)], op.bias_shift)
        if op.causal or op.bias is not None or entries is not None:
            e = seen_exponentials(op, scores, 0 if op.causal else None)
        else:
            e = exponentials(op, scores)
        added = None if entries is None else relative_sums(op, entries, e)
        heads.append(context(op, e, v[:, part], op.v.up.out_zero_point, added))
    y = projection_residual(op.out, np.concatenate(heads, axis=1), op.residual, x)
    return y.astype(residual_dtype(op.residual.bits))
