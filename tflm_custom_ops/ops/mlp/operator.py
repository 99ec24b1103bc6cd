# SPDX-License-Identifier: Apache-2.0
"""The MLP block."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params, Schedule
from tflm_custom_ops.ops.mlp.params import Mlp
from tflm_custom_ops.ops.mlp.reference import run_mlp
from tflm_custom_ops.ops.parts import Residual
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.scratch import area, expanded_inputs, row_capacity, wide
from tflm_custom_ops.ops.streams import Stream, of_layer, quads, tiles
from tflm_custom_ops.ops.weightless import norm, projection, zeros
from tflm_custom_ops.ops.work import LayerShape, Store, Term, Work

DEFAULT_TOKEN_TILE = 12


def hidden_tiles(hidden: int) -> tuple[int, ...]:
    """All hidden units, or an even share of them in a multiple of 4."""
    shares = {hidden}
    for parts in (2, 3, 4, 6, 8, 12, 16):
        tile = -(-hidden // parts)
        shares.add(min(hidden, -(-tile // 4) * 4))
    return tuple(sorted(shares, reverse=True))


class MlpOperator(FusedOperator[Mlp]):
    """x -> x + fc2(lut(fc1(LayerNorm(x)))); without the LayerNorm, or that and x, by choice."""

    KIND: ClassVar[int] = 3
    NAME: ClassVar[str] = "mlp"
    CODE: ClassVar[str] = "VitMlp"
    PARAMS: ClassVar[type[Params]] = Mlp
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("tokens", "embed_dim"), "residual.bits"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(("tokens", "embed_dim"), "residual.bits")
    WRITES_STREAM: ClassVar[bool] = True
    IN_PLACE: ClassVar[str] = "1"
    C_NOTE: ClassVar[str] = "MLP block. y may equal x."

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """y ``[tokens, embed_dim]`` of the residual's type."""
        return run_mlp(self.params, x)

    @property
    def scratch_bytes(self) -> int:
        """vit_mlp.c describes the regions."""
        p = self.params
        tile = min(p.token_tile, p.tokens)
        rows = row_capacity(tile)
        inputs, later, first, second = self._parts
        hidden = wide(rows, min(p.hidden_tile, p.hidden_dim))
        if not self._is_split:
            return max(inputs, later + second) + hidden + first
        partial = area(tile, p.fc2.rank or p.embed_dim, 4)
        return max(inputs, later) + hidden + max(first, second) + partial

    @property
    def _is_split(self) -> bool:
        return self.params.hidden_tile < self.params.hidden_dim

    @property
    def _parts(self) -> tuple[int, int, int, int]:
        """Bytes: inputs of fc1, low-rank rows of fc2, expansions of fc1 and of fc2."""
        p = self.params
        rows = row_capacity(min(p.token_tile, p.tokens))
        inputs = wide(rows, p.embed_dim) + wide(rows, p.fc1.rank)
        first, second = (cost.projection_expansion(p.expanded_inputs, x) for x in (p.fc1, p.fc2))
        return inputs, wide(rows, p.fc2.rank), first, second

    @property
    def expanded(self) -> tuple[int, int]:
        """Inputs of fc1 and of fc2 whose weights are expanded at a time."""
        inputs, later, first, second = self._parts
        if self._is_split:
            return (expanded_inputs(max(first, second)),) * 2
        return expanded_inputs(first), expanded_inputs(max(inputs - later, second))

    def schedules(self) -> Iterator[Mlp]:
        """Token tiles times shares of the hidden units."""
        p = self.params
        widest = cost.widest(p.fc1, p.fc2)
        for tile in cost.token_tiles(p.tokens):
            for hidden in hidden_tiles(p.hidden_dim):
                for inputs in cost.expansions(tile, widest):
                    yield dataclasses.replace(
                        p, token_tile=tile, hidden_tile=hidden, expanded_inputs=inputs
                    )

    def default_schedule(self) -> Mlp:
        """A small tile, all hidden units at a time."""
        p = self.params
        tile = min(DEFAULT_TOKEN_TILE, p.tokens)
        return dataclasses.replace(
            p, token_tile=tile, hidden_tile=p.hidden_dim, expanded_inputs=MAX_EXPANSION
        )

    @property
    def has_good_tile(self) -> bool:
        """Hidden units whole, weights read as seldom as by tiles of GOOD_TOKEN_TILE tokens."""
        p = self.params
        is_good = cost.is_good_tile(p.token_tile, p.tokens) and not self._is_split
        return is_good and cost.is_good_expansion(self)

    @property
    def schedule_cost(self) -> Schedule:
        """Both layers, LayerNorm, and partial sums where the hidden units are split."""
        p = self.params
        traffic = sum(cost.weight_traffic(x, p.tokens, p.token_tile) for x in (p.fc1, p.fc2))
        return Schedule(traffic, self.work.instructions)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Rows of the input, for each four hidden units, and the hidden units."""
        p = self.params
        rows, times = row_capacity(min(p.token_tile, p.tokens)), tiles(p.tokens, p.token_tile)
        inputs, later, _, second = self._parts
        begin = max(inputs, later if self._is_split else later + second)
        reader = p.fc2.up if p.fc2.down is None else p.fc2.down
        hidden = Stream(
            begin,
            wide(rows, min(p.hidden_tile, p.hidden_dim)),
            times * tiles(p.hidden_dim, p.hidden_tile),
            1 + quads(reader.out_features),
        )
        return (*of_layer(0, rows, p.fc1, times), hidden)

    @property
    def work(self) -> Work:
        """Tile after tile."""
        p, found = self.params, Work()
        found[Term.MLP] += 1
        for rows, times in pieces.parts(p.tokens, min(p.token_tile, p.tokens)):
            self._add_tile(found, rows, times)
        return found

    def _add_tile(self, work: Work, rows: int, times: int) -> None:
        p, (first, second) = self.params, self.expanded
        store = pieces.residual_store(p.residual.bits)
        work[Term.TILE_MLP] += times
        pieces.add_inputs(work, p.norm, rows, p.embed_dim, p.residual.bits, times)
        pieces.add_down(work, p.fc1, rows, first, times)
        reader = p.fc2.up if p.fc2.down is None else p.fc2.down
        for hidden, count in pieces.parts(p.hidden_dim, p.hidden_tile):
            shape = LayerShape.of(p.fc1.up, hidden)
            pieces.add_layer(work, shape, rows, Store.LUT, first, times * count)
            pieces.add_padding(work, rows, hidden, times * count)
            if self._is_split:
                shape = LayerShape(reader.out_features, hidden, reader.layout)
                pieces.add_layer(work, shape, rows, Store.ADD, second, times * count)
        if not self._is_split:
            pieces.add_projection(work, p.fc2, rows, store, second, times)
            return
        direct = Term.PARTIAL_8 if p.residual.bits == 8 else Term.PARTIAL_16
        ends = Term.PARTIAL_TILE if p.fc2.rank else direct
        work[Term.PARTIAL_ROWS] += times * pieces.groups_of(rows)
        work[ends] += times * rows * reader.out_features
        if p.fc2.down is not None:
            pieces.add_padding(work, rows, p.fc2.rank, times)
            pieces.add_layer(work, LayerShape.of(p.fc2.up), rows, store, second, times)

    @property
    def schedule_text(self) -> str:
        """E.g. "16 tokens, 384 of 768 hidden"."""
        p = self.params
        hidden = f"{p.hidden_tile} of {p.hidden_dim} hidden"
        return f"{p.token_tile} tokens, {hidden}{cost.parts_text(p.expanded_inputs)}"

    def schedule_changes(self, other: FusedOperator[Any]) -> tuple[str, ...]:
        """Fewer tokens or hidden units at a time."""
        a, b = self.params, other.params
        words: tuple[str, ...] = ("smaller token tiles",) if b.token_tile < a.token_tile else ()
        words += ("smaller hidden tiles",) if b.hidden_tile < a.hidden_tile else ()
        return words + (("weights in parts",) if b.expanded_inputs < a.expanded_inputs else ())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of both layers."""
        p = self.params
        return p.tokens * (cost.products(p.fc1) + cost.products(p.fc2))


def weightless(
    tokens: int,
    embed_dim: int,
    hidden_dim: int,
    *,
    bits: int = 8,
    fc1_rank: int = 0,
    fc2_rank: int = 0,
) -> Mlp:
    """A block of these sizes without weights, to be planned but not run."""
    return Mlp(
        *(tokens, embed_dim, hidden_dim, 1, hidden_dim),
        lut=zeros("int8", 256),
        residual=Residual(bits, 0, 1 << 30, 2),
        norm=norm(embed_dim),
        fc1=projection(embed_dim, hidden_dim, fc1_rank),
        fc2=projection(hidden_dim, embed_dim, fc2_rank),
    )
