# SPDX-License-Identifier: Apache-2.0
"""Chooses a fused operator's tiles: how many tokens, heads and hidden units at a time.

A schedule never changes a result, only scratch bytes, weight traffic and instructions. Among the
candidates that fit, the one with the least effort wins: estimated instructions, plus a share for
the weights that are read once per tile. docs/memory.md explains the formulas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tflm_custom_ops.options import Attention, LinearOp, Mlp, Op, PatchEmbed, Projection
from tflm_custom_ops.scratch import ROW_GROUP, attention_kv_bytes, scratch_bytes

# The DSP cores multiply at most so many rows at a time (VIT_DSP_MAX_GROUPS groups of ROW_GROUP): a
# larger tile reads its weights once for each slice.
SLICE_ROWS = 48
GOOD_TOKEN_TILE = 15  # a weight is read once per so many tokens; more only if memory is left

# How many instructions a weight byte read is worth when schedules are compared. A file has one
# schedule for every board, so that this is a choice between internal flash (0.2 to 0.8 cycles a
# byte) and QSPI (6), and no board's speed; times are estimated by converter.latency.
INSTRUCTIONS_PER_WEIGHT_BYTE = 4.0

# The DSP kernels on the emulated Cortex-M7, fitted to counts of vit_t_240's blocks under nine
# schedules; they serve to compare schedules, not to predict a network's count.
PER_MAC = 0.70
PER_NORM_ELEMENT = 13.3  # LayerNorm is repeated for each head at a time
PER_CHANNEL_PASS = 42.0  # starting a channel of a layer on a tile of tokens
PER_VALUE_PASS = 1.9  # widening one element of V for a tile of queries
PER_PARTIAL_SUM = 12.0  # adding a hidden tile's share to one element of the output
PER_SPLIT_SUM = 26.0  # clearing and storing those sums, if the hidden units are split at all


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a schedule costs.

    Attributes:
      scratch_bytes: while the operator runs.
      weight_bytes: int8 weights that are read from their memory in one run.
      instructions: estimate, for comparing schedules of the same operator.
    """

    scratch_bytes: int
    weight_bytes: int
    instructions: float

    @property
    def effort(self) -> float:
        """What schedules of the same operator are compared by."""
        return self.instructions + INSTRUCTIONS_PER_WEIGHT_BYTE * self.weight_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """An operator with one schedule, and its cost."""

    op: Op
    cost: Cost

    @property
    def rank(self) -> tuple[float, int]:
        """Better schedules first, among those that fit."""
        return self.cost.effort, self.cost.scratch_bytes


class ScheduleError(ValueError):
    """No schedule fits; says the bytes of the smallest one and the budget."""


def token_tiles(tokens: int) -> tuple[int, ...]:
    """Tiles worth trying: for each number of passes the smallest tile, in whole row groups."""
    tiles = set()
    for passes in range(1, -(-tokens // ROW_GROUP) + 1):
        tile = -(-tokens // passes)
        tiles.add(-(-tile // ROW_GROUP) * ROW_GROUP)
    return tuple(sorted(tiles))


def hidden_tiles(hidden: int) -> tuple[int, ...]:
    """All hidden units, or an even share of them in a multiple of 4."""
    shares = {hidden}
    for parts in (2, 3, 4, 6, 8, 12, 16):
        tile = -(-hidden // parts)
        shares.add(min(hidden, -(-tile // 4) * 4))
    return tuple(sorted(shares, reverse=True))


def candidates(op: Op) -> tuple[Candidate, ...]:
    """Every schedule worth comparing; a single one for operators without tiles."""
    return tuple(Candidate(variant, cost(variant)) for variant in _variants(op))


def _variants(op: Op) -> Iterator[Op]:
    if isinstance(op, Attention):
        for tile in token_tiles(op.tokens):
            for heads in sorted({op.heads, 1}, reverse=True):
                yield dataclasses.replace(op, token_tile=tile, heads_at_a_time=heads)
    elif isinstance(op, Mlp):
        for tile in token_tiles(op.tokens):
            for hidden in hidden_tiles(op.hidden_dim):
                yield dataclasses.replace(op, token_tile=tile, hidden_tile=hidden)
    elif isinstance(op, LinearOp):
        for tile in token_tiles(op.rows):
            yield dataclasses.replace(op, token_tile=tile)
    else:
        yield op


def has_good_tile(op: Op) -> bool:
    """Whether weights are read no more than once per GOOD_TOKEN_TILE tokens, hidden units whole."""
    if isinstance(op, Mlp):
        return op.token_tile >= min(op.tokens, GOOD_TOKEN_TILE) and op.hidden_tile == op.hidden_dim
    if isinstance(op, Attention):
        return op.token_tile >= min(op.tokens, GOOD_TOKEN_TILE)
    if isinstance(op, LinearOp):
        return op.token_tile >= min(op.rows, GOOD_TOKEN_TILE)
    return True


def schedule_op(op: Op, scratch_budget_bytes: int | None = None) -> Op:
    """The operator with its best schedule.

    Args:
      scratch_budget_bytes: bytes that its scratch may take; None gives the least scratch with a
        good token tile.

    Raises:
      ScheduleError: no schedule fits.
    """
    found = candidates(op)
    if scratch_budget_bytes is None:
        good = [c for c in found if has_good_tile(c.op)]
        scratch_budget_bytes = min(c.cost.scratch_bytes for c in good)
    fitting = [c for c in found if c.cost.scratch_bytes <= scratch_budget_bytes]
    if not fitting:
        least = min(c.cost.scratch_bytes for c in found)
        raise ScheduleError(
            f"{type(op).__name__}: the smallest schedule needs {least} bytes of scratch, "
            f"{scratch_budget_bytes} are left"
        )
    return min(fitting, key=lambda c: c.rank).op


def cost(op: Op) -> Cost:
    """The cost of an operator as it is scheduled."""
    if isinstance(op, Attention):
        traffic, instructions = _attention_cost(op)
    elif isinstance(op, Mlp):
        traffic, instructions = _mlp_cost(op)
    elif isinstance(op, LinearOp):
        traffic, instructions = _linear_cost(op.projection, op.rows, op.token_tile)
    elif isinstance(op, PatchEmbed):
        patches = op.grid_height * op.grid_width
        traffic = -(-patches // ROW_GROUP) * int(op.linear.weights.size)
        instructions = PER_MAC * macs(op)
    else:
        traffic, instructions = 0, 0.0
    return Cost(scratch_bytes(op), traffic, instructions)


def weight_bytes(p: Projection) -> int:
    """int8 weights of a projection; also its multiply-accumulates per token."""
    up = p.up.weights.size
    return int(up + (0 if p.down is None else p.down.weights.size))


def macs(op: Op | None) -> int:
    """Multiply-accumulates of one run of a fused operator; 0 where it has no products."""
    if isinstance(op, Attention):
        weights = sum(weight_bytes(p) for p in (op.q, op.k, op.v, op.out))
        if op.shared_down and op.k.down is not None:
            weights -= 2 * int(op.k.down.weights.size)
        return op.tokens * weights + 2 * op.tokens**2 * op.heads * op.head_dim
    if isinstance(op, Mlp):
        return op.tokens * (weight_bytes(op.fc1) + weight_bytes(op.fc2))
    if isinstance(op, LinearOp):
        return op.rows * weight_bytes(op.projection)
    if isinstance(op, PatchEmbed):
        return op.grid_height * op.grid_width * int(op.linear.weights.size)
    return 0


def describe(op: Op | None) -> str:
    """The schedule in words, e.g. "15 tokens, 1 of 3 heads"; empty where there is none."""
    if isinstance(op, Attention):
        return f"{op.token_tile} tokens, {op.heads_at_a_time} of {op.heads} heads"
    if isinstance(op, Mlp):
        return f"{op.token_tile} tokens, {op.hidden_tile} of {op.hidden_dim} hidden"
    if isinstance(op, LinearOp):
        return f"{op.token_tile} rows"
    return ""


def _channels(p: Projection) -> int:
    return p.rank + p.out_features


def _linear_cost(p: Projection, rows: int, tile: int) -> tuple[int, float]:
    """(weight bytes, instructions) of a projection of ``rows`` rows, ``tile`` at a time."""
    passes = (rows // tile) * _slices(tile) + _slices(rows % tile)
    filled = (rows // tile) * _grouped(tile) + _grouped(rows % tile)
    products = filled * weight_bytes(p) * PER_MAC
    return passes * weight_bytes(p), products + passes * _channels(p) * PER_CHANNEL_PASS


def _slices(rows: int) -> int:
    """How often weights are read for a tile of `rows` rows; 0 for none."""
    return -(-rows // SLICE_ROWS)


def _grouped(rows: int) -> int:
    return -(-rows // ROW_GROUP) * ROW_GROUP


def key_value_rows(op: Attention) -> int:
    """Tokens at a time while keys and values are projected: as many as the scratch has room for
    that queries need later (kernels/vit_attention_plan.c)."""
    inner = op.heads * op.head_dim
    base = attention_kv_bytes(op)
    if op.heads_at_a_time != op.heads:
        base += op.tokens * inner
    row_bytes = 2 * (max(op.embed_dim, inner) + max(op.k.rank, op.v.rank))
    fitting = (scratch_bytes(op) - base) // row_bytes // ROW_GROUP * ROW_GROUP
    return min(max(fitting, _grouped(op.token_tile)), _grouped(op.tokens))


def _attention_cost(op: Attention) -> tuple[int, float]:
    tokens, inner = op.tokens, op.heads * op.head_dim
    rounds = op.heads // op.heads_at_a_time  # how often LayerNorm and low-rank halves are repeated
    passes = -(-tokens // op.token_tile)
    query = _linear_cost(op.q, tokens, op.token_tile)
    parts = [query, _linear_cost(op.out, tokens, op.token_tile)]
    parts += [_linear_cost(p, tokens, key_value_rows(op)) for p in (op.k, op.v)]
    traffic = sum(p[0] for p in parts)
    instructions = sum(p[1] for p in parts)
    for p in (op.q, op.k, op.v):
        if p.down is not None:
            again = (rounds - 1) * int(p.down.weights.size)
            traffic += again * passes
            instructions += again * tokens * PER_MAC
    instructions += 2 * rounds * tokens * op.embed_dim * PER_NORM_ELEMENT
    instructions += passes * tokens * inner * PER_VALUE_PASS
    return traffic, instructions + 2 * tokens**2 * inner * PER_MAC


def _mlp_cost(op: Mlp) -> tuple[int, float]:
    parts = -(-op.hidden_dim // op.hidden_tile)
    first, second = (_linear_cost(p, op.tokens, op.token_tile) for p in (op.fc1, op.fc2))
    instructions = first[1] + second[1] + op.tokens * op.embed_dim * PER_NORM_ELEMENT
    if parts > 1:
        per_element = PER_SPLIT_SUM + (parts - 1) * PER_PARTIAL_SUM
        instructions += op.tokens * (op.fc2.rank or op.embed_dim) * per_element
    return first[0] + second[0], instructions
