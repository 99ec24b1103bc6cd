# SPDX-License-Identifier: Apache-2.0
"""The attention block."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops.attention.params import Attention
from tflm_custom_ops.ops.attention.reference import run_attention
from tflm_custom_ops.ops.base import Operator, Params, Schedule, Tensor
from tflm_custom_ops.ops.parts import Residual
from tflm_custom_ops.ops.schema.writing import stored_bytes
from tflm_custom_ops.ops.scratch import ROW_GROUP, align, area, even, row_capacity, wide
from tflm_custom_ops.ops.weightless import norm, projection

DEFAULT_TOKEN_TILE = 6


class AttentionOperator(Operator[Attention]):
    """x -> x + out(softmax(q.k) v) of LayerNorm(x), heads side by side."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "attention"
    CODE: ClassVar[str] = "VitAttention"
    PARAMS: ClassVar[type[Params]] = Attention
    INPUT: ClassVar[Tensor] = Tensor(("tokens", "embed_dim"), "residual.bits")
    OUTPUT: ClassVar[Tensor] = Tensor(("tokens", "embed_dim"), "residual.bits")
    WRITES_STREAM: ClassVar[bool] = True
    IN_PLACE: ClassVar[bool] = True
    C_NOTE: ClassVar[str] = "Attention block. y may equal x."

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """y ``[tokens, embed_dim]`` of the residual's type."""
        return run_attention(self.params, x)

    @property
    def _heads(self) -> int:
        """Heads whose keys and values exist at a time."""
        p = self.params
        return p.heads if p.heads_at_a_time == p.heads else 1

    @property
    def kept_bytes(self) -> int:
        """Keys and values that exist at a time."""
        p = self.params
        keys = even(p.tokens) * even(p.head_dim) * self._heads
        return align(keys) + align(p.head_dim * p.tokens * self._heads)

    @property
    def scratch_bytes(self) -> int:
        """kernels' vit_attention_plan.h describes the regions."""
        p = self.params
        tile = min(p.token_tile, p.tokens)
        rows, row_features = row_capacity(tile), max(p.embed_dim, p.features)
        base = self.kept_bytes
        if self._heads != p.heads:
            base += align(p.tokens * p.features)
        work = base + wide(rows, row_features)
        work += align(tile * self._heads * p.head_dim)
        work += wide(ROW_GROUP, p.head_dim) + align(4 * tile)
        exponentials = area(ROW_GROUP, even(p.tokens), 4) + area(rows, -(-p.tokens // 4) * 4, 2)
        middle = max(wide(rows, p.q.rank), wide(rows, p.out.rank))
        kv_middle = max(wide(rows, p.k.rank), wide(rows, p.v.rank))
        return max(work + max(exponentials, middle), base + wide(rows, row_features) + kv_middle)

    def schedules(self) -> Iterator[Attention]:
        """Token tiles, with the keys and values of all heads or of one at a time."""
        p = self.params
        for tile in cost.token_tiles(p.tokens):
            for heads in sorted({p.heads, 1}, reverse=True):
                yield dataclasses.replace(p, token_tile=tile, heads_at_a_time=heads)

    def default_schedule(self) -> Attention:
        """A small tile, all heads at a time."""
        p = self.params
        tile = min(DEFAULT_TOKEN_TILE, p.tokens)
        return dataclasses.replace(p, token_tile=tile, heads_at_a_time=p.heads)

    @property
    def has_good_tile(self) -> bool:
        """Whether weights are read no more than once per GOOD_TOKEN_TILE tokens."""
        return cost.is_good_tile(self.params.token_tile, self.params.tokens)

    @property
    def key_value_rows(self) -> int:
        """Tokens at a time while keys and values are projected: as many as the scratch has room
        for that queries need later (vit_attention_plan.c)."""
        p = self.params
        base = self.kept_bytes
        if p.heads_at_a_time != p.heads:
            base += p.tokens * p.features
        row_bytes = 2 * (max(p.embed_dim, p.features) + max(p.k.rank, p.v.rank))
        fitting = (self.scratch_bytes - base) // row_bytes // ROW_GROUP * ROW_GROUP
        return min(max(fitting, row_capacity(p.token_tile)), row_capacity(p.tokens))

    @property
    def schedule_cost(self) -> Schedule:
        """Projections, LayerNorm (again for each round of heads), scores and context."""
        p = self.params
        tokens, inner = p.tokens, p.features
        rounds = p.heads // p.heads_at_a_time  # how often LayerNorm and low-rank halves repeat
        passes = -(-tokens // p.token_tile)
        query = cost.projection_cost(p.q, tokens, p.token_tile)
        parts = [query, cost.projection_cost(p.out, tokens, p.token_tile)]
        parts += [cost.projection_cost(x, tokens, self.key_value_rows) for x in (p.k, p.v)]
        traffic = sum(part[0] for part in parts)
        instructions = sum(part[1] for part in parts)
        for x in (p.q, p.k, p.v):
            if x.down is not None:
                again = (rounds - 1) * int(x.down.weights.size)
                traffic += again * passes
                instructions += again * tokens * cost.PER_MAC
        instructions += 2 * rounds * tokens * p.embed_dim * cost.PER_NORM_ELEMENT
        instructions += passes * tokens * inner * cost.PER_VALUE_PASS
        return Schedule(traffic, instructions + 2 * tokens**2 * inner * cost.PER_MAC)

    @property
    def schedule_text(self) -> str:
        """E.g. "15 tokens, 1 of 3 heads"."""
        p = self.params
        return f"{p.token_tile} tokens, {p.heads_at_a_time} of {p.heads} heads"

    def schedule_changes(self, other: Operator[Any]) -> tuple[str, ...]:
        """Fewer heads or tokens at a time."""
        a, b = self.params, other.params
        words = ("per-head K/V",) if b.heads_at_a_time < a.heads_at_a_time else ()
        return words + (("smaller token tiles",) if b.token_tile < a.token_tile else ())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the projections, of q.k and of the context."""
        p = self.params
        weights = sum(cost.weight_bytes(x) for x in (p.q, p.k, p.v, p.out))
        if p.shared_down and p.k.down is not None:
            weights -= 2 * int(p.k.down.weights.size)
        return p.tokens * weights + 2 * p.tokens**2 * p.features

    def _stored(self) -> list[int]:
        """A shared `down` stands in the blob once."""
        p = self.params
        sizes = stored_bytes(p)
        if p.shared_down and p.k.down is not None:
            for size in 2 * stored_bytes(p.k.down):
                sizes.remove(size)
        return sizes


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
) -> Attention:
    """A block of these sizes without weights, to be planned but not run."""
    inner = heads * head_dim
    q, k, v = (projection(embed_dim, inner, qkv_rank) for _ in range(3))
    return Attention(
        *(tokens, embed_dim, heads, head_dim, 1, heads),
        score_multiplier=1 << 28,
        score_shift=0,
        exp_table=np.broadcast_to(np.ones((), np.uint16), 256),
        context_numerator=1 << 48,
        context_zero_point=0,
        shared_down=shared_down,
        residual=Residual(bits, 0, 1 << 30, 2),
        norm=norm(embed_dim),
        q=q,
        k=dataclasses.replace(k, up=dataclasses.replace(k.up, out_min=-127)),
        v=v,
        out=projection(inner, embed_dim, out_rank),
    )
