# SPDX-License-Identifier: Apache-2.0
"""Patch merging (Liu et al., ICCV 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from tflm_custom_ops.ops import cost
from tflm_custom_ops.ops import work as pieces
from tflm_custom_ops.ops.access import Accesses
from tflm_custom_ops.ops.base import DeclaredTensor, FusedOperator, Params, Schedule
from tflm_custom_ops.ops.parts import Projection
from tflm_custom_ops.ops.patch_merge.params import PatchMerge
from tflm_custom_ops.ops.patch_merge.reference import run_patch_merge
from tflm_custom_ops.ops.schema.limits import MAX_EMBED_DIM, MAX_EMBED_DIM_16, MAX_EXPANSION
from tflm_custom_ops.ops.scratch import (
    ROW_GROUP,
    align,
    expanded_inputs,
    expansion,
    row_capacity,
    wide,
)
from tflm_custom_ops.ops.streams import Stream, of_layer, tiles
from tflm_custom_ops.ops.weightless import linear, norm
from tflm_custom_ops.ops.work import LayerShape, Store, Term, Work

DEFAULT_TOKEN_TILE = 12


class PatchMergeOperator(FusedOperator[PatchMerge]):
    """y = linear(LayerNorm(neighbours side by side)), written over what it has read."""

    KIND: ClassVar[int] = 9
    NAME: ClassVar[str] = "patch_merge"
    CODE: ClassVar[str] = "VitPatchMerge"
    PARAMS: ClassVar[type[Params]] = PatchMerge
    INPUTS: ClassVar[tuple[DeclaredTensor, ...]] = (
        DeclaredTensor(("tokens * stride * stride", "channels"), "bits"),
    )
    OUTPUT: ClassVar[DeclaredTensor] = DeclaredTensor(("tokens", "linear.out_features"), "bits")
    WRITES_STREAM: ClassVar[bool] = True
    C_NOTE: ClassVar[str] = (
        "Patch merging. y is written a tile of tokens at a time, after the tile's last token of x\n"
        "was read, so that y may overlap consumed tokens of x."
    )

    def reference(self, x: ArrayLike) -> NDArray[Any]:
        """y ``[tokens, out_features]`` of ``bits``."""
        return run_patch_merge(self.params, x)

    @property
    def scratch_bytes(self) -> int:
        """Wide rows of a tile; expanded weights, which lie where one patch was put together."""
        return wide(self._rows, self.params.linear.in_features) + self._shared_bytes

    @property
    def _rows(self) -> int:
        return row_capacity(min(self.params.token_tile, self.params.tokens))

    @property
    def _shared_bytes(self) -> int:
        p = self.params
        patch = align(p.linear.in_features * p.bits // 8)
        return max(patch, expansion(p.linear.in_features, p.expanded_inputs))

    def schedules(self) -> Iterator[PatchMerge]:
        """Token tiles, weights whole or in parts."""
        p = self.params
        for tile in cost.token_tiles(p.tokens):
            for inputs in cost.expansions(tile, p.linear.in_features):
                yield dataclasses.replace(p, token_tile=tile, expanded_inputs=inputs)

    def default_schedule(self) -> PatchMerge:
        """A small tile."""
        tile = row_capacity(min(DEFAULT_TOKEN_TILE, self.params.tokens))
        return dataclasses.replace(self.params, token_tile=tile, expanded_inputs=MAX_EXPANSION)

    @property
    def has_good_tile(self) -> bool:
        """Whether weights are read no more often than tiles of GOOD_TOKEN_TILE tokens read them."""
        p = self.params
        return cost.is_good_tile(p.token_tile, p.tokens) and cost.is_good_expansion(self)

    @property
    def schedule_cost(self) -> Schedule:
        """Of the layer."""
        p = self.params
        traffic = cost.weight_traffic(Projection(p.linear), p.tokens, p.token_tile)
        return Schedule(traffic, self.work.instructions)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Rows of a tile."""
        p = self.params
        times = tiles(p.tokens, p.token_tile)
        return tuple(of_layer(0, self._rows, Projection(p.linear), times))

    @property
    def work(self) -> Work:
        """Patches put together and normed one by one, and the layer."""
        p, found = self.params, Work()
        expanded, shape = expanded_inputs(self._shared_bytes), LayerShape.of(p.linear)
        store = Store.INT8 if p.bits == 8 else Store.INT16
        run = p.stride * p.channels * p.bits // 8
        found[Term.MERGE] += 1
        found[Term.MERGE_TOKEN] += p.tokens
        found[Term.MERGE_RUN] += p.tokens * p.stride
        found[Term.MERGE_WORD] += p.tokens * p.stride * (run // 4)
        found[Term.MERGE_REST] += p.tokens * p.stride * (run % 4)
        for rows, times in pieces.parts(p.tokens, min(p.token_tile, p.tokens)):
            pieces.add_norm(found, rows, p.linear.in_features, p.bits, times)
            pieces.add_layer(found, shape, rows, store, expanded, times)
        return found

    @property
    def accesses(self) -> Accesses:
        """The norm reads the patch that was put together, x only once."""
        return dataclasses.replace(super().accesses, inputs=(self._x_bytes,))

    @property
    def _x_bytes(self) -> int:
        p = self.params
        return p.tokens * p.linear.in_features * p.bits // 8

    @property
    def schedule_text(self) -> str:
        """E.g. "12 tokens"."""
        return f"{self.params.token_tile} tokens{cost.parts_text(self.params.expanded_inputs)}"

    def schedule_changes(self, other: FusedOperator[Any]) -> tuple[str, ...]:
        """Fewer tokens at a time."""
        a, b = self.params, other.params
        words: tuple[str, ...] = ("smaller token tiles",) if b.token_tile < a.token_tile else ()
        return words + (("weights in parts",) if b.expanded_inputs < a.expanded_inputs else ())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all patches."""
        return self.params.tokens * int(self.params.linear.weights.size)

    @property
    def overwrite_margin(self) -> int:
        """How far before x, at least, y must begin to be written over consumed tokens.

        The tokens of a tile are written once its patches were read; from then on only tokens of x
        from the next patch's first one on are read, in this row of patches or the next. Tiles of
        ROW_GROUP ask for the most, so that the margin depends on no schedule.
        """
        p = self.params
        size = p.bits // 8
        token, x_token = p.linear.out_features * size, p.channels * size
        x_row = p.grid_width * p.stride * x_token
        margin = 0
        for done in range(ROW_GROUP, p.tokens, ROW_GROUP):
            row, column = divmod(done, p.grid_width)
            first = row * p.stride * x_row + column * p.stride * x_token
            margin = max(margin, done * token - min(first, (row + 1) * p.stride * x_row))
        return margin


def weightless(grid: int, stride: int, channels: int, outputs: int, *, bits: int = 8) -> PatchMerge:
    """One of these sizes without weights, to be planned but not run.

    Args:
      grid: side of the square of tokens of y.

    Raises:
      ValueError: more features than the device norms.
    """
    features = stride**2 * channels
    widest = MAX_EMBED_DIM if bits == 8 else MAX_EMBED_DIM_16
    if features > widest:
        raise ValueError(
            f"patch merging of int{bits}: got {features} features side by side, expected at most "
            f"{widest}; make the tokens narrower"
            + (", or the residual stream int8" if bits == 16 else "")
        )
    return PatchMerge(grid, grid, stride, channels, bits, norm(features), linear(features, outputs))
