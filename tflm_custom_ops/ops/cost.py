# SPDX-License-Identifier: Apache-2.0
"""What the kernels cost: facts that the operators' own costs are made of.

The DSP kernels on the emulated Cortex-M7, fitted to counts of vit_t_240's blocks under nine
schedules; they serve to compare schedules, not to predict a network's count.
"""

from __future__ import annotations

from collections.abc import Iterator

from tflm_custom_ops.ops.parts import Projection
from tflm_custom_ops.ops.scratch import ROW_GROUP, row_capacity

# The DSP cores multiply at most so many rows at a time (VIT_DSP_MAX_GROUPS groups of ROW_GROUP): a
# larger tile reads its weights once for each slice.
SLICE_ROWS = 48
GOOD_TOKEN_TILE = 15  # a weight is read once per so many tokens; more only if memory is left

PER_MAC = 0.70
PER_NORM_ELEMENT = 13.3  # LayerNorm is repeated for each head at a time
PER_CHANNEL_PASS = 42.0  # starting a channel of a layer on a tile of tokens
PER_VALUE_PASS = 1.9  # widening one element of V for a tile of queries
PER_PARTIAL_SUM = 12.0  # adding a hidden tile's share to one element of the output
PER_SPLIT_SUM = 26.0  # clearing and storing those sums, if the hidden units are split at all


def token_tiles(tokens: int) -> Iterator[int]:
    """Tiles worth trying: for each number of passes the smallest tile, in whole row groups."""
    tiles = set()
    for passes in range(1, -(-tokens // ROW_GROUP) + 1):
        tiles.add(row_capacity(-(-tokens // passes)))
    return iter(sorted(tiles))


def is_good_tile(tile: int, tokens: int) -> bool:
    """Whether weights are read no more than once per GOOD_TOKEN_TILE tokens."""
    return tile >= min(tokens, GOOD_TOKEN_TILE)


def weight_bytes(p: Projection) -> int:
    """int8 weights of a projection; also its multiply-accumulates per token."""
    up = p.up.weights.size
    return int(up + (0 if p.down is None else p.down.weights.size))


def projection_cost(p: Projection, rows: int, tile: int) -> tuple[int, float]:
    """(weight bytes, instructions) of a projection of ``rows`` rows, ``tile`` at a time."""
    passes = (rows // tile) * _slices(tile) + _slices(rows % tile)
    filled = (rows // tile) * row_capacity(tile) + row_capacity(rows % tile)
    products = filled * weight_bytes(p) * PER_MAC
    channels = p.rank + p.out_features
    return passes * weight_bytes(p), products + passes * channels * PER_CHANNEL_PASS


def _slices(rows: int) -> int:
    """How often weights are read for a tile of `rows` rows; 0 for none."""
    return -(-rows // SLICE_ROWS)
