# SPDX-License-Identifier: Apache-2.0
"""What the kernels cost: facts that the operators' own costs are made of.

The DSP kernels on the emulated Cortex-M7. docs/kernels.md counts the first five in the assembly;
all fit the counts of vit_t_240's blocks under fifteen schedules. They serve to compare schedules,
not to predict a network's count.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tflm_custom_ops.ops.parts import Linear, Projection
from tflm_custom_ops.ops.schema.limits import MAX_EXPANSION
from tflm_custom_ops.ops.scratch import ROW_GROUP, even, expansion, row_capacity

if TYPE_CHECKING:
    from tflm_custom_ops.ops.base import FusedOperator

# The DSP core multiplies at most so many rows at a time (VIT_DSP_MAX_GROUPS groups of ROW_GROUP): a
# larger tile reads its weights once for each slice.
SLICE_ROWS = 48
GOOD_TOKEN_TILE = 16  # a weight is read once per so many tokens; more only if memory is left

SMALL_EXPANSIONS = (48, 24)  # inputs at a time, multiples of the unrolled step
GOOD_EXPANSION_COST = 1.5  # at most, of the instructions with whole rows

PER_MAC = 23 / 48
PER_RESULT = 7.3  # separating, requantizing and storing one
PER_SCORE = 4.2  # separating and storing one
PER_WEIGHT_PASS = 0.57  # expanding a weight, once for all rows of a call
PER_WIDE_MAC = 23 / 36  # probabilities x values
PER_CHANNEL_PASS = 28.0  # starting a channel of a layer on a tile of tokens
PER_CHANNEL_PART = (26.0, 5.0)  # another part of a channel's inputs: always, per group of rows
PER_CHANNEL_IN_PARTS = (31.6, 6.3)  # and once, if there are parts at all
PER_KEY_PASS = 22.0  # starting a key for some queries
PER_SOFTMAX_ELEMENT = 12.9
PER_CONTEXT = 15.0  # one sum's share of its block, and its division
PER_RESIDUAL = 7.1  # what the residual add costs more than another store
PER_NORM_ELEMENT = 10.4  # LayerNorm is repeated for each head at a time
PER_VALUE_PASS = 1.2  # expanding one element of V for a tile of queries
PER_PARTIAL_SUM = 12.8  # adding a hidden tile's share to one element of the output
PER_SPLIT_SUM = 41.0  # clearing and storing those sums, if the hidden units are split at all


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


def weight_bytes(p: Projection) -> int:
    """int8 weights of a projection; also its multiply-accumulates per token."""
    up = p.up.weights.size
    return int(up + (0 if p.down is None else p.down.weights.size))


def layers_of(*projections: Projection) -> Iterator[Linear]:
    """The layers of projections that run one after another."""
    return (layer for p in projections for layer in (p.up, p.down) if layer is not None)


def projection_expansion(most: int, *projections: Projection) -> int:
    """Scratch bytes of the expanded weights of projections that run one after another, ``most``
    inputs at a time."""
    return max(expansion(layer.in_features, most) for layer in layers_of(*projections))


def projection_cost(p: Projection, rows: int, tile: int, expanded: int) -> tuple[int, float]:
    """(weight bytes, instructions) of a projection of ``rows`` rows, ``tile`` at a time.

    Args:
      expanded: inputs whose weights are expanded at a time.
    """
    passes = (rows // tile) * _slices(tile) + _slices(rows % tile)
    filled = (rows // tile) * row_capacity(tile) + row_capacity(rows % tile)
    channels = p.rank + p.out_features
    per_row = weight_bytes(p) * PER_MAC + channels * PER_RESULT
    per_pass = weight_bytes(p) * PER_WEIGHT_PASS + channels * PER_CHANNEL_PASS
    for layer in layers_of(p):
        more = -(-even(layer.in_features) // expanded) - 1
        always, per_group = (
            layer.out_features * (more * part + (once if more else 0))
            for part, once in zip(PER_CHANNEL_PART, PER_CHANNEL_IN_PARTS, strict=True)
        )
        per_pass += always
        per_row += per_group / ROW_GROUP
    return passes * weight_bytes(p), filled * per_row + passes * per_pass


def _slices(rows: int) -> int:
    """How often weights are read for a tile of `rows` rows; 0 for none."""
    return -(-rows // SLICE_ROWS)
