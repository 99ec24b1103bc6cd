# SPDX-License-Identifier: Apache-2.0
"""The attention block (docs/operators.md, Attention block)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.attention.params import Attention
from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.reference.linear import projection, projection_residual
from tflm_custom_ops.reference.norm import normalize
from tflm_custom_ops.reference.requant import Int64Array, check_int32, exact_matmul, mulh, shifted

MAX_EXPONENT = 8191  # 32 octaves of 256 steps; the table value is 0 after 16 of them


def exponentials(op: Attention, scores: Int64Array) -> Int64Array:
    """Table exponentials e ``[queries, keys]`` of int32 scores, the row maximum giving table[0]."""
    difference = scores.max(axis=1, keepdims=True) - scores
    t = mulh(shifted(difference, op.score_shift), op.score_multiplier)
    t = np.minimum(t, MAX_EXPONENT)
    e: Int64Array = op.exp_table.astype(np.int64)[t & 255] >> (t >> 8)
    return e


def context(op: Attention, e: Int64Array, v: Int64Array) -> Int64Array:
    """One head's int8 context (as int64) of e ``[queries, keys]`` and v ``[keys, head_dim]``."""
    total = e.sum(axis=1)
    if int(total.min()) < 1 or int(total.max()) >= 1 << 23:
        raise OverflowError(
            f"softmax sum: got [{total.min()}, {total.max()}], expected 1 <= P < 2**23"
        )
    a = exact_matmul(e, v) - op.v.up.out_zero_point * total[:, None]
    check_int32(a, "context accumulator")
    # P << g has its top bit at 22, so g is 23 minus the bit length (= clz32(P) - 9).
    g = np.array([23 - int(p).bit_length() for p in total], np.int64)
    m = check_int32(op.context_numerator // (total << g), "context multiplier")
    scaled = mulh(check_int32(a << g[:, None], "context"), m[:, None])
    rounded = (scaled + (op.context_zero_point << 16) + (1 << 15)) >> 16
    c: Int64Array = np.clip(rounded, -128, 127)
    return c


def run_attention(op: Attention, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> y of the same shape and type."""
    x = np.asarray(x).reshape(op.tokens, op.embed_dim)
    h = normalize(op.norm, x)
    q, k, v = (projection(p, h) for p in (op.q, op.k, op.v))
    heads = []
    for head in range(op.heads):
        part = slice(head * op.head_dim, (head + 1) * op.head_dim)
        scores = exact_matmul(q[:, part] - op.q.up.out_zero_point, k[:, part].T)
        heads.append(context(op, exponentials(op, scores), v[:, part]))
    y = projection_residual(op.out, np.concatenate(heads, axis=1), op.residual, x)
    return y.astype(residual_dtype(op.residual.bits))
