# SPDX-License-Identifier: Apache-2.0
"""The attention block."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops.attention.params import Attention, BiasKind
from tflm_custom_ops.ops.attention.reference import run_attention
from tflm_custom_ops.ops.attention.work import WorkingSizes, work_of
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params, Schedule
from tflm_custom_ops.ops.bounds import check_scores
from tflm_custom_ops.ops.parts import Residual
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.schema.writing import stored_bytes
from tflm_custom_ops.ops.scratch import (
    ROW_GROUP,
    align,
    area,
    even,
    expanded_inputs,
    expansion,
    row_capacity,
    wide,
)
from tflm_custom_ops.ops.softmax_work import TRIPLE
from tflm_custom_ops.ops.streams import Stream, of_layer, tiles
from tflm_custom_ops.ops.weightless import norm, projection, zeros
from tflm_custom_ops.ops.work import SLICE_ROWS, Work

DEFAULT_TOKEN_TILE = 6
SCORE_BYTES = 8192  # of the scores at a time, where weights are expanded whole
SCORE_PASSES = 2  # written, then read
VALUE_TOKENS = 264  # whose values are expanded at a time


class AttentionOperator(FusedOperator[Attention]):
    """x -> x + out(softmax(q.k) v) of LayerNorm(x), heads side by side."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "attention"
    CODE: ClassVar[str] = "VitAttention"
    PARAMS: ClassVar[type[Params]] = Attention
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("tokens", "embed_dim"), "residual.bits"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(("tokens", "embed_dim"), "residual.bits")
    WRITES_STREAM: ClassVar[bool] = True
    IN_PLACE: ClassVar[str] = "1"
    C_NOTE: ClassVar[str] = "Attention block. y may equal x."

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """y ``[tokens, embed_dim]`` of the residual's type."""
        return run_attention(self.params, x)

    def check_bounds(self) -> None:
        """Differences of scores as well, where the kernels do not cut them off."""
        super().check_bounds()
        p, q, k = self.params, self.params.q.up, self.params.k.up
        cut = p.causal or p.bias is not None or p.relative_distance > 0 or p.window_shift > 0
        largest = max(q.out_max - q.out_zero_point, q.out_zero_point - q.out_min)
        difference = 0 if cut else p.head_dim * largest * (k.out_max - k.out_min)
        check_scores(difference, p.score_shift, p.score_multiplier)

    @property
    def _tile(self) -> int:
        """Queries at a time."""
        return min(self.params.token_tile, self.params.key_tokens)

    @property
    def _heads(self) -> int:
        """Heads at a time."""
        p = self.params
        return p.heads if p.heads_at_a_time == p.heads else 1

    @property
    def _key_heads(self) -> int:
        """Heads of keys and values that exist at a time."""
        return self.params.key_heads if self._heads == self.params.heads else 1

    @functools.cached_property
    def _row_bytes(self) -> int:
        """LayerNorm rows of a tile, later its context."""
        p = self.params
        return wide(self._tile_rows, max(p.embed_dim, p.features))

    @property
    def _token_stride(self) -> int:
        """Elements of a row of values, scores and exponentials."""
        return -(-self.params.key_tokens // 4) * 4

    @property
    def kept_bytes(self) -> int:
        """Keys and values that exist at a time."""
        p = self.params
        keys = even(p.key_tokens) * even(p.head_dim) * self._key_heads
        return align(keys) + self._value_bytes

    @property
    def _value_bytes(self) -> int:
        return align(self.params.value_dim * self._token_stride * self._key_heads)

    @functools.cached_property
    def _base_bytes(self) -> int:
        """What all tiles share: keys, values, and the context of the heads before the last."""
        p = self.params
        if self._heads > 1:
            return self.kept_bytes
        return self.kept_bytes + align(p.key_tokens * (p.heads - 1) * p.value_dim)

    @property
    def _window_bytes(self) -> int:
        """A copy of a window's tokens, unless the window is the grid."""
        p = self.params
        if p.key_tokens == p.tokens and p.window_shift == 0:
            return 0
        return area(p.key_tokens, p.embed_dim, p.residual.bits // 8)

    @property
    def _bias_bytes(self) -> int:
        """The bias of one query, where it is put together for a window."""
        p = self.params
        made = p.window_shift > 0 or p.bias_kind is BiasKind.RELATIVE
        return area(p.key_tokens, 1, 2) if made else 0

    @functools.cached_property
    def score_rows(self) -> int:
        """Queries whose scores are computed at a time: neither the scores nor the widened queries
        take more than a tile's exponentials."""
        p, rows = self.params, self._tile_rows
        exponentials = area(rows, self._token_stride, 2)
        space = min(p.expanded_inputs * SCORE_BYTES // MAX_EXPANSION, exponentials)
        if self._heads == 1:
            space = max(space, self._row_bytes)
        fitting = min(space // (4 * self._token_stride), exponentials // (2 * even(p.head_dim)))
        return min(max(fitting // ROW_GROUP * ROW_GROUP, ROW_GROUP), rows)

    def _key_value_bytes(self, rows: int) -> int:
        """Beside the base, while keys and values of ``rows`` tokens are projected."""
        p = self.params
        middle = max(wide(rows, p.k.rank), wide(rows, p.v.rank))
        tokens = wide(rows, max(p.embed_dim, p.features))
        return tokens + middle + self._key_value_expansion

    @functools.cached_property
    def _key_value_expansion(self) -> int:
        """Expanded weights of the projections of keys and values; the same for all rows."""
        p = self.params
        return cost.projection_expansion(p.expanded_inputs, p.k, p.v)

    @property
    def _tile_rows(self) -> int:
        return row_capacity(self._tile)

    @property
    def _middle_bytes(self) -> int:
        """Low-rank rows of the queries or of the output."""
        p = self.params
        return max(wide(self._tile_rows, p.q.rank), wide(self._tile_rows, p.out.rank))

    @property
    def _exponential_bytes(self) -> int:
        """Exponentials of a tile, or low-rank rows and expanded weights in their place."""
        p = self.params
        weights = cost.projection_expansion(p.expanded_inputs, p.q, p.out)
        exponentials = area(self._tile_rows, self._token_stride, 2)
        return max(exponentials, self._middle_bytes + weights)

    @functools.cached_property
    def _space_bytes(self) -> tuple[int, int]:
        """Of scores and of queries; one of the two lends its place to the expanded values."""
        p, one = self.params, self._heads == 1
        scores = area(self.score_rows, self._token_stride, 4)
        tokens = min(self._token_stride, VALUE_TOKENS, max(4, p.expanded_inputs // 4 * 4))
        values = expansion(tokens)
        queries = area(self._tile_rows, p.head_dim * self._heads, 1)
        queries += wide(self.score_rows, p.head_dim) + expansion(p.head_dim)
        return (scores, max(queries, values)) if one else (max(scores, values), queries)

    @functools.cached_property
    def scratch_bytes(self) -> int:
        """vit_attention_plan.h describes the regions."""
        total = self._before_exponentials + self._exponential_bytes + self._space_bytes[1]
        tile = max(total, self._key_value_bytes(self._tile_rows))
        return self._base_bytes + tile + self._window_bytes

    @property
    def expanded(self) -> int:
        """Inputs of q and out whose weights are expanded at a time."""
        return expanded_inputs(self._exponential_bytes - self._middle_bytes)

    @property
    def expanded_key_value(self) -> int:
        """Inputs of k and v whose weights are expanded at a time: what their tokens leave."""
        p, rows = self.params, self.key_value_rows
        space = self._tile_space - self._key_value_bytes(rows)
        return expanded_inputs(space + cost.projection_expansion(p.expanded_inputs, p.k, p.v))

    @property
    def expanded_tokens(self) -> int:
        """Tokens whose values are expanded at a time."""
        scores, queries = self._space_bytes
        space = expanded_inputs(queries if self._heads == 1 else scores)
        return min(space // 4 * 4, VALUE_TOKENS)

    def schedules(self) -> Iterator[Attention]:
        """Token tiles, with the keys and values of all heads or of one at a time."""
        p = self.params
        widest = max(p.key_tokens, cost.widest(p.q, p.k, p.v, p.out))
        for tile in cost.token_tiles(p.key_tokens):
            for heads in sorted({p.heads, 1}, reverse=True):
                for inputs in cost.expansions(tile, widest):
                    yield dataclasses.replace(
                        p, token_tile=tile, heads_at_a_time=heads, expanded_inputs=inputs
                    )

    def default_schedule(self) -> Attention:
        """A small tile, all heads at a time."""
        p = self.params
        tile = min(DEFAULT_TOKEN_TILE, p.key_tokens)
        return dataclasses.replace(
            p, token_tile=tile, heads_at_a_time=p.heads, expanded_inputs=MAX_EXPANSION
        )

    @property
    def has_good_tile(self) -> bool:
        """Whether weights are read no more often than by tiles of GOOD_TOKEN_TILE tokens."""
        p = self.params
        return cost.is_good_tile(p.token_tile, p.key_tokens) and cost.is_good_expansion(self)

    @property
    def _tile_space(self) -> int:
        """Bytes between what all tiles share and the tokens of a window."""
        return self.scratch_bytes - self._base_bytes - self._window_bytes

    @functools.cached_property
    def key_value_rows(self) -> int:
        """Tokens at a time while keys and values are projected: as many as the scratch has room
        for that queries need later (vit_attention_plan.c)."""
        p = self.params
        rows, most = row_capacity(p.token_tile), row_capacity(p.key_tokens)
        while rows < most and self._key_value_bytes(rows + ROW_GROUP) <= self._tile_space:
            rows += ROW_GROUP
        return min(rows, most)

    @property
    def schedule_cost(self) -> Schedule:
        """Projections, LayerNorm (again for each round of heads), scores and context."""
        p = self.params
        rounds = p.heads // self._heads  # how often low-rank halves repeat
        keys = self.key_value_rows
        tiles = ((p.q, p.token_tile), (p.out, p.token_tile), (p.k, keys), (p.v, keys))
        traffic = sum(cost.weight_traffic(x, p.key_tokens, tile) for x, tile in tiles)
        passes = -(-p.key_tokens // p.token_tile)
        key_rounds = p.key_heads // self._key_heads
        for x, often in ((p.q, rounds), (p.k, key_rounds), (p.v, key_rounds)):
            if x.down is not None:
                traffic += (often - 1) * cost.layer_bytes(x.down) * passes
        return Schedule(p.windows * traffic, self.work.instructions)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Keys and values, a tile's rows and exponentials, and the waiting context."""
        p, heads, rows = self.params, self._heads, self._tile_rows
        rounds, count = p.heads // heads, tiles(p.key_tokens, p.token_tile)
        key_rounds, shared = p.key_heads // self._key_heads, p.heads // p.key_heads
        base, values, channels = self.kept_bytes, self._value_bytes, heads * p.head_dim
        calls = count * tiles(rows, self.score_rows)
        key_rows = self.key_value_rows
        filled = tiles(p.key_tokens, key_rows) * key_rounds
        passes = shared if heads == 1 else 1
        found = [
            Stream(0, base - values, key_rounds, calls * passes),
            Stream(base - values, values, key_rounds, count * tiles(rows, SLICE_ROWS) * passes),
            *of_layer(base, key_rows, p.k, filled, self._key_heads * p.head_dim),
            *of_layer(base, key_rows, p.v, filled, self._key_heads * p.value_dim),
            *of_layer(base, rows, p.q, count * rounds, channels),
            *of_layer(base, rows, p.out, count),
            Stream(
                base + (0 if heads == 1 else self._row_bytes),
                self._space_bytes[0],
                calls * p.heads,
                SCORE_PASSES,
            ),
            Stream(
                base + self._before_exponentials,
                area(rows, self._token_stride, 2),
                count * p.heads,
                1 + tiles(p.value_dim, TRIPLE),
            ),
        ]
        if context := self._base_bytes - base:
            end = self.scratch_bytes - self._window_bytes
            found.append(Stream(end - context, context, 1, 2))
        return tuple(dataclasses.replace(s, times=p.windows * s.times) for s in found)

    @property
    def _before_exponentials(self) -> int:
        """Bytes of a tile's rows, scores, totals, relative entries and bias."""
        scores, rows = self._space_bytes[0], self._row_bytes
        total = max(rows, scores) if self._heads == 1 else rows + scores
        entries = self.params.relative_entries
        total += area(self._tile, 1, 4) + self._bias_bytes
        return total + area(self.score_rows, entries, 4) + area(self._tile_rows, entries, 2)

    @property
    def work(self) -> Work:
        """Keys, values, queries, scores, context and output."""
        sizes = WorkingSizes(
            self.key_value_rows,
            self.score_rows,
            self.expanded,
            self.expanded_key_value,
            self.expanded_tokens,
        )
        return work_of(self.params, sizes)

    @property
    def schedule_text(self) -> str:
        """E.g. "16 tokens, 1 of 3 heads"."""
        p = self.params
        heads = f"{p.heads_at_a_time} of {p.heads} heads"
        return f"{p.token_tile} tokens, {heads}{cost.parts_text(p.expanded_inputs)}"

    def schedule_changes(self, other: FusedOperator[Any]) -> tuple[str, ...]:
        """Fewer heads or tokens at a time."""
        a, b = self.params, other.params
        words: tuple[str, ...] = ("per-head K/V",) if b.heads_at_a_time < a.heads_at_a_time else ()
        words += ("smaller token tiles",) if b.token_tile < a.token_tile else ()
        return words + (("weights in parts",) if b.expanded_inputs < a.expanded_inputs else ())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the projections, of q.k and of the context."""
        p = self.params
        weights = sum(cost.products(x) for x in (p.q, p.k, p.v, p.out))
        if p.shared_down and p.k.down is not None:
            weights -= 2 * int(p.k.down.weights.size)
        seen = p.key_tokens + p.relative_entries
        return p.tokens * (weights + seen * p.heads * (p.head_dim + p.value_dim))

    def _stored(self) -> list[int]:
        """A shared `down` stands in the blob once."""
        p = self.params
        sizes = stored_bytes(p)
        if p.shared_down and p.k.down is not None:
            for size in 2 * stored_bytes(p.k.down):
                sizes.remove(size)
        return sizes


@dataclasses.dataclass(frozen=True)
class TokenGrid:
    """Tokens of a square grid, and what attention makes of their places.

    Attributes:
      side: of the grid.
      prefix: tokens before it.
      relative: the largest distance of the tables of relative keys and values; 0: none.
      window, shift: side of windows, and by how much the grid is rolled; 0: none.
      bias: Swin's, by distance.
    """

    side: int
    prefix: int = 0
    relative: int = 0
    window: int = 0
    shift: int = 0
    bias: bool = False

    def fields(self, heads: int, head_dim: int) -> dict[str, Any]:
        """Of `Attention`; a bias by distance of all tokens is one of one window."""
        found: dict[str, Any] = {"grid_height": self.side, "grid_width": self.side}
        found["prefix_tokens"] = self.prefix
        if self.relative:
            entries = 4 * self.relative + 4
            found["relative_distance"] = self.relative
            found["relative_keys"] = zeros("int8", entries, head_dim)
            found["relative_values"] = zeros("int8", head_dim, entries)
            return found
        window = self.window or self.side
        found |= {"window": window, "window_shift": self.shift}
        if self.bias:
            values = zeros("int16", heads * (2 * window - 1) ** 2)
            found |= {"bias_kind": BiasKind.RELATIVE, "bias": values}
        return found


def weightless(
    tokens: int,
    embed_dim: int,
    heads: int,
    head_dim: int,
    *,
    bits: int = 8,
    qkv_rank: int = 0,
    out_rank: int = 0,
    shared_down: bool = False,
    grid: TokenGrid | None = None,
    key_heads: int = 0,
    value_dim: int = 0,
) -> Attention:
    """A block of these sizes without weights, to be planned but not run.

    Args:
      grid: that the tokens form, where their places matter.
    """
    fields = {} if grid is None else grid.fields(heads, head_dim)
    key_heads, value_dim = key_heads or heads, value_dim or head_dim
    q = projection(embed_dim, heads * head_dim, qkv_rank)
    k = projection(embed_dim, key_heads * head_dim, qkv_rank)
    v = projection(embed_dim, key_heads * value_dim, qkv_rank)
    return Attention(
        *(tokens, embed_dim, heads, head_dim, 1, heads),
        score_multiplier=1 << 28,
        score_shift=0,
        exp_table=np.broadcast_to(np.ones((), np.uint16), 256),
        context_numerator=1 << 48,
        context_zero_point=0,
        shared_down=shared_down,
        key_heads=key_heads,
        value_dim=value_dim,
        residual=Residual(bits, 0, 1 << 30, 2),
        norm=norm(embed_dim),
        q=q,
        k=dataclasses.replace(k, up=dataclasses.replace(k.up, out_min=-127)),
        v=v,
        out=projection(heads * value_dim, embed_dim, out_rank),
        **fields,
    )
