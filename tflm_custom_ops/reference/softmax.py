# SPDX-License-Identifier: Apache-2.0
"""Softmax with late division (docs/operators.md, Attention block)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.reference.requant import Int64Array, check_int32, exact_matmul, mulh, shifted

MASKED = -32768  # an entry of a bias that leaves the key out
MASKED_SCORE = -(1 << 30)  # less than any other
MAX_EXPONENT = 8191  # 32 octaves of 256 steps; the table value is 0 after 16 of them


class SoftmaxParams(Protocol):
    """The parameters that attention has for it, in the block or on its own."""

    @property
    def score_multiplier(self) -> int: ...
    @property
    def score_shift(self) -> int: ...
    @property
    def exp_table(self) -> NDArray[np.uint16]: ...
    @property
    def context_numerator(self) -> int: ...
    @property
    def context_zero_point(self) -> int: ...


def exponentials(op: SoftmaxParams, scores: Int64Array) -> Int64Array:
    """Table exponentials e ``[queries, keys]`` of int32 scores, the row maximum giving table[0]."""
    difference = scores.max(axis=1, keepdims=True) - scores
    t = mulh(shifted(difference, op.score_shift), op.score_multiplier)
    t = np.minimum(t, MAX_EXPONENT)
    e: Int64Array = op.exp_table.astype(np.int64)[t & 255] >> (t >> 8)
    return e


def biased(scores: Int64Array, bias: NDArray[np.int16], shift: int) -> Int64Array:
    """Scores and their bias; MASKED leaves a key out."""
    added = bias.astype(np.int64)
    return np.where(added == MASKED, MASKED_SCORE, scores + (added << shift))


def seen_exponentials(op: SoftmaxParams, scores: Int64Array, past_tokens: int | None) -> Int64Array:
    """Exponentials where not all keys are alike.

    Differences are cut off where their shift would leave int32.

    Args:
      past_tokens: query i sees the keys 0 .. i + past_tokens; None: all.
    """
    if past_tokens is None:
        least = scores.max(axis=1, keepdims=True) - (((1 << 31) - 1) >> op.score_shift)
        return exponentials(op, np.maximum(scores, least))
    e = np.zeros_like(scores)
    for i, row in enumerate(scores):
        count = i + 1 + past_tokens
        e[i, :count] = seen_exponentials(op, row[None, :count], None)[0]
    return e


def scale_of(total: Int64Array) -> Int64Array:
    """g of sums P: P << g has its top bit at 22 (= clz32(P) - 9)."""
    return np.array([23 - int(p).bit_length() for p in total], np.int64)


def context(
    op: SoftmaxParams,
    e: Int64Array,
    v: Int64Array,
    value_zero_point: int,
    added: Int64Array | None = None,
) -> Int64Array:
    """One head's int8 context (as int64) of e ``[queries, keys]`` and v ``[keys, value_dim]``.

    Args:
      added: ``[queries, value_dim]``, to A << g; the sum is cut off at the ends of int32.
    """
    total = e.sum(axis=1)
    if int(total.min()) < 1 or int(total.max()) >= 1 << 23:
        raise OverflowError(
            f"softmax sum: got [{total.min()}, {total.max()}], expected 1 <= P < 2**23"
        )
    a = exact_matmul(e, v) - value_zero_point * total[:, None]
    check_int32(a, "context accumulator")
    g = scale_of(total)
    m = check_int32(op.context_numerator // (total << g), "context multiplier")
    scaled = check_int32(a << g[:, None], "context")
    if added is not None:
        scaled = np.clip(scaled + added, -(1 << 31), (1 << 31) - 1)
    scaled = mulh(scaled, m[:, None])
    rounded = (scaled + (op.context_zero_point << 16) + (1 << 15)) >> 16
    c: Int64Array = np.clip(rounded, -128, 127)
    return c
