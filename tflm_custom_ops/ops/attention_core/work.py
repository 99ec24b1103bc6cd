# SPDX-License-Identifier: Apache-2.0
"""The pieces of the attention core (vit_attention_core.c).

Keys of -128 are packed once more, and what the packing lacks is added to the scores; that depends
on the values and is not counted.
"""

from __future__ import annotations

from tflm_custom_ops.ops import softmax_work
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.attention_core.params import AttentionCore
from tflm_custom_ops.ops.softmax_work import Context, SoftmaxRow
from tflm_custom_ops.ops.work import Term, Work


def work_of(p: AttentionCore, score_rows: int, expanded_tokens: int) -> Work:
    """All batches and heads.

    Args:
      score_rows: queries whose scores are computed at a time.
      expanded_tokens: whose values are expanded at a time.
    """
    work = Work()
    work[Term.ATTENTION] += 1
    _add_packing(work, p, p.batches * p.key_heads)
    times = p.batches * p.heads
    stride = softmax_work.QUAD * softmax_work.quads_of(p.key_tokens)
    tile = min(p.token_tile, p.tokens)
    for token, rows, often in pieces.spans(0, p.tokens, tile, p.causal):
        work[Term.TILE_CORE] += times * often
        _add_exponentials(work, p, score_rows, (token, rows), times * often)
        keys = seen_keys(p, token + rows - 1)
        context = Context(keys, stride, p.value_dim, expanded_tokens, is_wide=False)
        context.add(work, rows, times * often)
        if p.out.channel_stride != 1:
            work[Term.SPREAD_ROW] += times * often * rows
            work[Term.SPREAD_CONTEXT] += times * often * rows * p.value_dim
    return work


def seen_keys(p: AttentionCore, query: int) -> int:
    """Keys that a query may see."""
    return min(query + 1 + p.past_tokens, p.key_tokens) if p.causal else p.key_tokens


def _add_packing(work: Work, p: AttentionCore, times: int) -> None:
    """Keys in pairs, values turned."""
    pairs = -(-p.key_tokens // 2)
    work[Term.PACK_HEAD] += times
    work[Term.PACK_ROW] += times * pairs
    work[Term.PACK] += times * pairs * p.head_dim
    work[Term.TURN_ROW] += times * p.value_dim
    work[Term.TURN] += times * p.value_dim * p.key_tokens


def _add_exponentials(
    work: Work, p: AttentionCore, score_rows: int, tile: tuple[int, int], times: int
) -> None:
    """Of one head's queries of a tile (first, how many)."""
    softmax = SoftmaxRow(p.head_dim, p.bias_batches > 0, False, p.score_shift)
    for first, queries, often in pieces.spans(tile[0], sum(tile), score_rows, p.causal):
        count, end = times * often, first + queries
        if p.q.channel_stride == 1:
            pieces.add_widening(work, queries, p.head_dim, count)
        else:
            work[Term.SPREAD_ROW] += count * queries
            work[Term.SPREAD_QUERY] += count * queries * p.head_dim
        pieces.add_padding(work, queries, p.head_dim, count)
        softmax_work.add_scores(work, seen_keys(p, end - 1), p.head_dim, queries, count)
        seen = [seen_keys(p, query) for query in range(first, end)]
        softmax_work.add_seen_exponentials(work, softmax, seen, p.key_tokens, count)
