# SPDX-License-Identifier: Apache-2.0
"""The pieces of the attention block (vit_attention.c, kernels/vit_softmax.c).

What a bias adds to scores and what a causal mask leaves out are not counted yet.
"""

from __future__ import annotations

import dataclasses

from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.attention.params import Attention
from tflm_custom_ops.ops.scratch import even
from tflm_custom_ops.ops.work import CHANNELS, SLICE_ROWS, Store, Term, Work

TRIPLE = 3  # channels of the values at a time


@dataclasses.dataclass(frozen=True)
class WorkingSizes:
    """What the schedule makes of the scratch: rows and inputs at a time."""

    key_value_rows: int
    score_rows: int
    expanded: int
    expanded_key_value: int
    expanded_tokens: int


def work_of(p: Attention, sizes: WorkingSizes) -> Work:
    """All rounds of heads."""
    work = Work()
    at_once = p.heads if p.heads_at_a_time == p.heads else 1
    rounds = p.heads // at_once
    for rows, times in pieces.parts(p.tokens, sizes.key_value_rows):
        _add_keys_and_values(work, p, sizes, rows, times, at_once)
    for rows, times in pieces.parts(p.tokens, min(p.token_tile, p.tokens)):
        _add_queries(work, p, sizes, rows, times, at_once)
        if rounds > 1:
            pieces.add_widening(work, rows, (p.heads - 1) * p.head_dim, times)
        inner = p.heads * p.head_dim
        pieces.add_padding(work, rows, inner, times)
        store = pieces.residual_store(p.residual.bits)
        pieces.add_projection(work, p.out, rows, store, sizes.expanded, times)
    return work


def _firsts(width: int, count: int) -> tuple[tuple[int, int], ...]:
    """First channels of ``count`` layers of ``width`` channels one after another, as far as they
    matter: (even or odd, how many)."""
    if width % 2 == 0 or count == 1:
        return ((0, count),)
    return ((0, (count + 1) // 2), (1, count // 2))


def _add_keys_and_values(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int, at_once: int
) -> None:
    rounds, expanded = p.heads // at_once, sizes.expanded_key_value
    bits, repeated = p.residual.bits, times * rounds
    pieces.add_inputs(work, p.norm, rows, p.embed_dim, bits, repeated)
    pieces.add_down(work, p.k, rows, expanded, times * rounds)
    if not p.shared_down:
        pieces.add_down(work, p.v, rows, expanded, times * rounds)
    work[Term.TILE] += times * rounds
    key_inputs, value_inputs = p.k.up.in_features, p.v.up.in_features
    store = Store.KEY if p.head_dim % 2 == 0 else Store.INT16
    for first, heads in _firsts(p.head_dim, p.heads):
        shape = (p.head_dim, key_inputs)
        pieces.add_layer(work, shape, rows, store, expanded, times * heads, first)
    for first, heads in _firsts(p.head_dim * at_once, rounds):
        shape = (p.head_dim * at_once, value_inputs)
        pieces.add_layer(work, shape, rows, Store.VALUE, expanded, times * heads, first)


def _add_queries(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int, at_once: int
) -> None:
    rounds = p.heads // at_once
    bits, repeated = p.residual.bits, times * rounds
    pieces.add_inputs(work, p.norm, rows, p.embed_dim, bits, repeated)
    pieces.add_down(work, p.q, rows, sizes.expanded, times * rounds)
    work[Term.TILE] += times * rounds
    shape = (p.head_dim * at_once, p.q.up.in_features)
    for first, heads in _firsts(shape[0], rounds):
        count = times * heads
        pieces.add_layer(work, shape, rows, Store.INT8_WHOLE, sizes.expanded, count, first)
    for queries, count in pieces.parts(rows, sizes.score_rows):
        _add_scores(work, p, queries, times * count * p.heads)
        if p.relative_entries:
            _add_relative(work, p, queries, times * count * p.heads)
    for queries, count in pieces.parts(rows, SLICE_ROWS):
        _add_context(work, p, sizes, queries, times * count, at_once)


def _add_scores(work: Work, p: Attention, queries: int, times: int) -> None:
    groups, quads = pieces.groups_of(queries), -(-p.tokens // CHANNELS)
    pieces.add_widening(work, queries, p.head_dim, times)
    pieces.add_padding(work, queries, p.head_dim, times)
    work[Term.KEY_CALL] += times
    work[Term.KEY_QUAD] += times * quads
    pieces.add_products(work, even(p.head_dim), quads, groups, times)
    work[Term.GROUP_SUMS] += times * quads * groups
    work[Term.SOFTMAX_ROW] += times * queries
    work[Term.SOFTMAX] += times * queries * quads


def _add_relative(work: Work, p: Attention, queries: int, times: int) -> None:
    """The entries as further keys and values, and their way from and to the keys."""
    groups, quads = pieces.groups_of(queries), p.relative_entries // CHANNELS
    work[Term.KEY_CALL] += times
    work[Term.KEY_QUAD] += times * quads
    pieces.add_products(work, even(p.head_dim), quads, groups, times)
    calls = times * -(-p.head_dim // TRIPLE)
    work[Term.VALUE_CALL] += calls
    work[Term.VALUE_EXPAND] += calls * p.relative_entries
    work[Term.VALUE_INPUT] += calls * groups * p.relative_entries
    work[Term.RELATIVE_KEY] += times * queries * p.tokens
    work[Term.RELATIVE_ENTRY] += times * queries * p.relative_entries
    work[Term.RELATIVE_CHANNEL] += times * queries * p.head_dim


def _add_context(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int, at_once: int
) -> None:
    stride, groups = -(-p.tokens // 4) * 4, pieces.groups_of(rows)
    calls = -(-p.head_dim // TRIPLE)
    chunks = -(-stride // sizes.expanded_tokens)
    heads = times * p.heads
    work[Term.DIVISION] += heads * rows
    work[Term.VALUE_CALL] += heads * calls
    work[Term.VALUE_CHUNK] += heads * calls * chunks
    work[Term.VALUE_GROUP] += heads * calls * chunks * groups
    work[Term.VALUE_EXPAND] += heads * calls * stride
    work[Term.VALUE_INPUT] += heads * calls * groups * stride
    triples = p.head_dim // TRIPLE
    wide = p.heads if at_once == p.heads else 1
    work[Term.CONTEXT_WIDE] += times * wide * triples * rows
    work[Term.CONTEXT_NARROW] += times * (p.heads - wide) * triples * rows
    work[Term.CONTEXT_CHANNEL] += heads * (p.head_dim % TRIPLE) * rows
