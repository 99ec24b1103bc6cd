# SPDX-License-Identifier: Apache-2.0
"""The pieces of the attention block (vit_attention.c, vit_attention_plan.c)."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from tflm_custom_ops.ops import softmax_work
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.attention.params import Attention, BiasKind
from tflm_custom_ops.ops.parts import Linear
from tflm_custom_ops.ops.scratch import ROW_GROUP, row_capacity
from tflm_custom_ops.ops.softmax_work import Context, SoftmaxRow
from tflm_custom_ops.ops.work import SLICE_ROWS, LayerShape, Store, Term, Work


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
    least = row_capacity(min(p.token_tile, p.key_tokens))
    work[Term.ATTENTION] += 1
    work[Term.KEY_VALUE_ROWS] += (sizes.key_value_rows - least) // ROW_GROUP
    for rows, count in pieces.parts(p.key_tokens, sizes.key_value_rows):
        _add_keys_and_values(work, p, sizes, rows, count * p.windows, at_once)
    for rows, count in pieces.parts(p.key_tokens, min(p.token_tile, p.key_tokens)):
        times = count * p.windows
        _add_queries(work, p, sizes, rows, times, at_once)
        if rounds > 1:
            pieces.add_widening(work, rows, (p.heads - 1) * p.value_dim, times)
        inner = p.heads * p.value_dim
        pieces.add_padding(work, rows, inner, times)
        store = pieces.residual_store(p.residual.bits)
        pieces.add_projection(work, p.out, rows, store, sizes.expanded, times)
    cut = _cut_windows(p)
    _add_attention(work, p, sizes, at_once, p.bias_kind != BiasKind.NONE, p.windows - cut)
    if cut:
        _add_attention(work, p, sizes, at_once, True, cut)
    if p.relative_entries:
        _add_relative(work, p)
    if p.window:
        _add_windows(work, p, cut)
    return work


def _cut_windows(p: Attention) -> int:
    """Windows with tokens of opposite edges of the grid."""
    if p.window_shift == 0:
        return 0
    down, across = p.grid_height // p.window, p.grid_width // p.window
    return down * across - (down - 1) * (across - 1)


def _add_windows(work: Work, p: Attention, cut: int) -> None:
    """The ways of a window's tokens, and the biases that are put together for one."""
    side = p.window
    if p.tokens != p.key_tokens or p.window_shift:
        across = p.grid_width // side
        broken = p.grid_height * (p.window_shift > 0)  # rows of windows that come in two runs
        work[Term.WINDOW] += p.windows
        work[Term.WINDOW_RUN] += 2 * (p.grid_height * across + broken)
        work[Term.WINDOW_WORD] += 2 * p.tokens * p.embed_dim * (p.residual.bits // 8) / 4
    made = p.windows if p.bias_kind is BiasKind.RELATIVE else cut
    rows = made * p.heads * p.key_tokens
    work[Term.MADE_BIAS_ROW] += rows
    work[Term.MADE_BIAS_LINE] += rows * side
    work[Term.MADE_BIAS] += rows * p.key_tokens


def _firsts(width: int, count: int, layer: Linear) -> Iterable[tuple[int, int]]:
    """First channels of ``count`` parts of a layer of ``width`` channels one after another, as far
    as they matter: (place in a group of channels that are stored together, how many)."""
    return Counter(part * width % layer.layout.channels for part in range(count)).items()


def _add_keys_and_values(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int, at_once: int
) -> None:
    keys_at_once = p.key_heads if at_once == p.heads else 1
    rounds, expanded = p.key_heads // keys_at_once, sizes.expanded_key_value
    bits, repeated = p.residual.bits, times * rounds
    pieces.add_inputs(work, p.norm, rows, p.embed_dim, bits, repeated)
    pieces.add_down(work, p.k, rows, expanded, times * rounds)
    if not p.shared_down:
        pieces.add_down(work, p.v, rows, expanded, times * rounds)
    work[Term.TILE_KEYS] += times * rounds
    store = Store.KEY if p.head_dim % 2 == 0 else Store.INT16
    for first, heads in _firsts(p.head_dim, p.key_heads, p.k.up):
        shape = LayerShape.of(p.k.up, p.head_dim)
        pieces.add_layer(work, shape, rows, store, expanded, times * heads, first)
    for first, heads in _firsts(p.value_dim * keys_at_once, rounds, p.v.up):
        shape = LayerShape.of(p.v.up, p.value_dim * keys_at_once)
        pieces.add_layer(work, shape, rows, Store.VALUE, expanded, times * heads, first)


def _add_queries(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int, at_once: int
) -> None:
    rounds = p.heads // at_once
    bits, repeated = p.residual.bits, times * rounds
    pieces.add_inputs(work, p.norm, rows, p.embed_dim, bits, repeated)
    pieces.add_down(work, p.q, rows, sizes.expanded, times * rounds)
    work[Term.TILE_QUERIES] += times * rounds
    shape = LayerShape.of(p.q.up, p.head_dim * at_once)
    for first, heads in _firsts(shape.outputs, rounds, p.q.up):
        count = times * heads
        pieces.add_layer(work, shape, rows, Store.INT8_WHOLE, sizes.expanded, count, first)


def _add_attention(
    work: Work, p: Attention, sizes: WorkingSizes, at_once: int, has_bias: bool, windows: int
) -> None:
    """Scores, exponentials and context of all heads of some windows."""
    stride = softmax_work.QUAD * softmax_work.quads_of(p.key_tokens)
    tile = min(p.token_tile, p.key_tokens)
    softmax = SoftmaxRow(p.head_dim, has_bias, p.relative_distance > 0, p.score_shift)
    for token, rows, count in pieces.spans(0, p.key_tokens, tile, p.causal):
        times = count * windows
        _add_scores(work, p, softmax, sizes.score_rows, (token, rows), times * p.heads)
        work[Term.TILE_HEAD] += times * p.heads
        keys = token + rows if p.causal else p.key_tokens
        wide = p.heads if at_once == p.heads else 1
        for is_wide, heads in ((True, wide), (False, p.heads - wide)):
            context = Context(keys, stride, p.value_dim, sizes.expanded_tokens, is_wide)
            context.add(work, rows, times * heads)
        if p.relative_entries:
            _add_relative_context(work, p, sizes, rows, times * p.heads)


def _add_scores(
    work: Work,
    p: Attention,
    softmax: SoftmaxRow,
    score_rows: int,
    tile: tuple[int, int],
    times: int,
) -> None:
    """Of one head's queries of a tile (first, how many)."""
    for first, queries, often in pieces.spans(tile[0], sum(tile), score_rows, p.causal):
        count, end = times * often, first + queries
        pieces.add_widening(work, queries, p.head_dim, count)
        pieces.add_padding(work, queries, p.head_dim, count)
        keys = end if p.causal else p.key_tokens
        softmax_work.add_scores(work, keys, p.head_dim, queries, count)
        if softmax.is_relative:
            softmax_work.add_scores(work, p.relative_entries, p.head_dim, queries, count)
        if not (p.causal or softmax.has_bias or softmax.is_relative):
            softmax_work.add_exponentials(work, p.key_tokens, p.score_shift, count * queries)
            continue
        seen = range(first + 1, end + 1) if p.causal else (p.key_tokens,) * queries
        softmax_work.add_seen_exponentials(work, softmax, seen, p.key_tokens, count)


def _add_relative(work: Work, p: Attention) -> None:
    """The ways of relative keys to the scores, and of exponentials to their sums, of all heads."""
    grid, width = p.tokens - p.prefix_tokens, p.grid_width
    seen = range(p.prefix_tokens + 1, p.tokens + 1) if p.causal else (p.tokens,) * grid
    work[Term.RELATIVE_ROW] += p.heads * grid
    work[Term.RELATIVE_PREFIX] += p.heads * p.prefix_tokens
    work[Term.RELATIVE_KEY] += p.heads * sum(seen)
    work[Term.RELATIVE_LINE] += p.heads * sum(-(-(n - p.prefix_tokens) // width) for n in seen)
    work[Term.RELATIVE_SUM] += p.heads * grid * p.tokens
    work[Term.RELATIVE_SUM_LINE] += p.heads * grid * p.grid_height
    work[Term.RELATIVE_ENTRY] += p.heads * grid * p.relative_entries
    work[Term.RELATIVE_LAST] += p.heads * p.tokens * p.relative_entries


def _add_relative_context(
    work: Work, p: Attention, sizes: WorkingSizes, rows: int, times: int
) -> None:
    """The entries as further values."""
    for count, often in pieces.parts(rows, SLICE_ROWS):
        calls = times * often * -(-p.value_dim // softmax_work.TRIPLE)
        groups = pieces.groups_of(count)
        work[Term.RELATIVE_CALL] += calls
        work[Term.RELATIVE_CHANNEL] += calls * count
        work[Term.VALUE_EXPAND] += calls * p.relative_entries
        for entries, chunks in pieces.parts(p.relative_entries, sizes.expanded_tokens):
            work[Term.VALUE_CHUNK] += calls * chunks
            work[Term.VALUE_GROUP] += calls * chunks * groups
            pieces.add_core(work, entries, groups, calls * chunks)
            if entries < p.relative_entries:
                work[Term.VALUE_PART] += calls * chunks * groups
