# SPDX-License-Identifier: Apache-2.0
"""A projection on its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params, Schedule
from tflm_custom_ops.ops.linear.params import LinearOp
from tflm_custom_ops.ops.linear.reference import run_linear
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.scratch import expanded_inputs, row_capacity, wide
from tflm_custom_ops.ops.streams import Stream, of_layer, tiles
from tflm_custom_ops.ops.weightless import projection
from tflm_custom_ops.ops.work import Store, Term, Work

DEFAULT_TOKEN_TILE = 12


class LinearOperator(FusedOperator[LinearOp]):
    """y = projection(x): a classifier head, a low-rank pair."""

    KIND: ClassVar[int] = 6
    NAME: ClassVar[str] = "linear"
    CODE: ClassVar[str] = "VitLinear"
    PARAMS: ClassVar[type[Params]] = LinearOp
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("rows", "projection.in_features")),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(
        ("rows", "projection.out_features"), zero_point="projection.up.out_zero_point"
    )
    C_X: ClassVar[str] = "const int8_t*"
    C_Y: ClassVar[str] = "int8_t*"
    C_NOTE: ClassVar[str] = "Projection of `rows` rows. y must not overlap x."

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """int8 y ``[rows, out_features]``."""
        return run_linear(self.params, x)

    @property
    def scratch_bytes(self) -> int:
        """Wide rows of the input and of the low-rank middle, and expanded weights."""
        p = self.params
        rows = row_capacity(min(p.token_tile, p.rows))
        tile = wide(rows, p.projection.in_features) + wide(rows, p.projection.rank)
        return tile + cost.projection_expansion(p.expanded_inputs, p.projection)

    def schedules(self) -> Iterator[LinearOp]:
        """Row tiles."""
        p = self.params
        for tile in cost.token_tiles(p.rows):
            for inputs in cost.expansions(tile, cost.widest(p.projection)):
                yield dataclasses.replace(p, token_tile=tile, expanded_inputs=inputs)

    def default_schedule(self) -> LinearOp:
        """A small tile."""
        tile = min(DEFAULT_TOKEN_TILE, self.params.rows)
        return dataclasses.replace(self.params, token_tile=tile, expanded_inputs=MAX_EXPANSION)

    @property
    def has_good_tile(self) -> bool:
        """Whether weights are read no more often than tiles of GOOD_TOKEN_TILE rows read them."""
        p = self.params
        return cost.is_good_tile(p.token_tile, p.rows) and cost.is_good_expansion(self)

    @property
    def schedule_cost(self) -> Schedule:
        """Of the projection."""
        p = self.params
        traffic = cost.weight_traffic(p.projection, p.rows, p.token_tile)
        return Schedule(traffic, self.work.instructions)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Rows of a tile."""
        p = self.params
        rows = row_capacity(min(p.token_tile, p.rows))
        return tuple(of_layer(0, rows, p.projection, tiles(p.rows, p.token_tile)))

    @property
    def work(self) -> Work:
        """Widened rows and the layers."""
        p, found = self.params, Work()
        inputs = p.projection.in_features
        found[Term.LINEAR] += 1
        for rows, times in pieces.parts(p.rows, min(p.token_tile, p.rows)):
            found[Term.TILE_ROWS] += times
            pieces.add_widening(found, rows, inputs, times)
            pieces.add_padding(found, rows, inputs, times)
            pieces.add_projection(found, p.projection, rows, Store.INT8, self._expanded, times)
        return found

    @property
    def _expanded(self) -> int:
        p = self.params
        return expanded_inputs(cost.projection_expansion(p.expanded_inputs, p.projection))

    @property
    def schedule_text(self) -> str:
        """E.g. "12 rows"."""
        return f"{self.params.token_tile} rows{cost.parts_text(self.params.expanded_inputs)}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all rows."""
        return self.params.rows * cost.products(self.params.projection)


def weightless(rows: int, in_features: int, out_features: int, *, rank: int = 0) -> LinearOp:
    """One of these sizes without weights, to be planned but not run."""
    return LinearOp(rows, 1, projection(in_features, out_features, rank))
