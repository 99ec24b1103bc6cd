# SPDX-License-Identifier: Apache-2.0
"""Schedules: which are worth trying, which are good, what they read.

What they run is counted in work.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tflm_custom_ops.ops.parts import Linear, Projection
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.scratch import ROW_GROUP, expansion, row_capacity
from tflm_custom_ops.ops.work import SLICE_ROWS

if TYPE_CHECKING:
    from tflm_custom_ops.ops.base import FusedOperator

GOOD_TOKEN_TILE = 16  # a weight is read once per so many tokens; more only if memory is left

SMALL_EXPANSIONS = (48, 24)  # inputs at a time, multiples of the unrolled step
GOOD_EXPANSION_COST = 1.5  # at most, of the instructions with whole rows


def token_tiles(tokens: int) -> Iterator[int]:
    """Tiles worth trying: for each number of passes the smallest tile, in whole row groups."""
    tiles = set()
    for passes in range(1, -(-tokens // ROW_GROUP) + 1):
        tiles.add(row_capacity(-(-tokens // passes)))
    return iter(sorted(tiles))


def is_good_tile(tile: int, tokens: int) -> bool:
    """Whether weights are read no more often than tiles of GOOD_TOKEN_TILE tokens read them.

    25 tokens are two passes of 14 as they are of 16.
    """
    return -(-tokens // tile) <= -(-tokens // GOOD_TOKEN_TILE)


def expansions(tile: int, widest: int) -> Iterator[int]:
    """Inputs to be expanded at a time that are worth trying with a tile.

    Parts cost the same for any tile and save the same bytes, so that they are for the small ones.

    Args:
      widest: the most that could be expanded.
    """
    yield MAX_EXPANSION
    if tile < GOOD_TOKEN_TILE:
        yield from (inputs for inputs in SMALL_EXPANSIONS if inputs < widest)


def parts_text(expanded: int) -> str:
    """What a schedule adds to its tiles in words, e.g. ", weights of 24 inputs"."""
    return "" if expanded == MAX_EXPANSION else f", weights of {expanded} inputs"


def widest(*projections: Projection) -> int:
    """The most inputs of a layer."""
    return max(layer.in_features for layer in layers_of(*projections))


def is_good_expansion(operator: FusedOperator[Any]) -> bool:
    """Whether weights are expanded whole, or in parts that cost little more."""
    if int(operator.params.expanded_inputs) == MAX_EXPANSION:
        return True
    whole = type(operator)(dataclasses.replace(operator.params, expanded_inputs=MAX_EXPANSION))
    most = GOOD_EXPANSION_COST * whole.schedule_cost.instructions
    return bool(operator.schedule_cost.instructions <= most)


def layer_bytes(layer: Linear) -> int:
    """Weights of a layer, padding left out."""
    return int(layer.weights.size) * layer.layout.bits // 8


def weight_bytes(p: Projection) -> int:
    """Weights of a projection, padding left out."""
    return sum(map(layer_bytes, layers_of(p)))


def products(p: Projection) -> int:
    """Multiply-accumulates of a projection per token."""
    return sum(int(layer.weights.size) for layer in layers_of(p))


def layers_of(*projections: Projection) -> Iterator[Linear]:
    """The layers of projections that run one after another."""
    return (layer for p in projections for layer in (p.up, p.down) if layer is not None)


def projection_expansion(most: int, *projections: Projection) -> int:
    """Scratch bytes of the expanded weights of projections that run one after another, ``most``
    inputs at a time."""
    return max(expansion(layer.in_features, most) for layer in layers_of(*projections))


def weight_traffic(p: Projection, rows: int, tile: int) -> int:
    """Weight bytes that a projection of ``rows`` rows reads, ``tile`` at a time."""
    passes = (rows // tile) * _slices(tile) + _slices(rows % tile)
    return passes * weight_bytes(p)


def _slices(rows: int) -> int:
    """How often weights are read for a tile of `rows` rows; 0 for none."""
    return -(-rows // SLICE_ROWS)
