# SPDX-License-Identifier: Apache-2.0
"""Chooses a fused operator's tiles: how many tokens, heads and hidden units at a time.

A schedule never changes a result, only scratch bytes, weight traffic and instructions. Candidates
are compared in the order: fits the scratch budget; least weight bytes read; fewest instructions;
least scratch. docs/memory.md explains the formulas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tflm_custom_ops.options import Attention, LinearOp, Mlp, Op, PatchEmbed, Projection
from tflm_custom_ops.scratch import ROW_GROUP, scratch_bytes

GOOD_TOKEN_TILE = (
    15  # weights are then read once per 15 tokens; larger tiles only if memory is left
)

# Instructions of the DSP kernels, for comparing schedules (measured per element or per product).
INSTRUCTIONS_PER_MAC = 0.75
INSTRUCTIONS_PER_NORM_ELEMENT = 16.0


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a schedule costs.

    Attributes:
      scratch_bytes: while the operator runs.
      weight_bytes: int8 weights that are read from their memory in one run.
      instructions: estimate of the part that depends on the schedule; for comparisons only.
    """

    scratch_bytes: int
    weight_bytes: int
    instructions: float


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """An operator with one schedule, and its cost."""

    op: Op
    cost: Cost

    @property
    def rank(self) -> tuple[float, float, int]:
        """Better schedules first, among those that fit."""
        return self.cost.weight_bytes, self.cost.instructions, self.cost.scratch_bytes


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
    """Whether weights are read no more than once per GOOD_TOKEN_TILE tokens."""
    if isinstance(op, Attention | Mlp):
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
        passes = -(-op.rows // op.token_tile)
        traffic = passes * weight_bytes(op.projection)
        instructions = _mac_instructions(op.rows, op.token_tile, weight_bytes(op.projection))
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


def _mac_instructions(tokens: int, tile: int, macs_per_token: int) -> float:
    """Instructions of the products, row groups filled up in the last tile of each pass."""
    full, rest = divmod(tokens, tile)
    rows = full * _grouped(tile) + _grouped(rest)
    return rows * macs_per_token * INSTRUCTIONS_PER_MAC


def _grouped(rows: int) -> int:
    return -(-rows // ROW_GROUP) * ROW_GROUP


def _attention_cost(op: Attention) -> tuple[int, float]:
    passes = -(-op.tokens // op.token_tile)
    rounds = op.heads // op.heads_at_a_time  # how often LayerNorm and shared factors are repeated
    per_head = sum(int(p.up.weights.size) for p in (op.q, op.k, op.v))
    downs = [0 if p.down is None else int(p.down.weights.size) for p in (op.q, op.k, op.v)]
    shared = downs[0] if op.shared_down else sum(downs)
    weights = per_head + rounds * shared + weight_bytes(op.out)
    norms = 2 * rounds * op.tokens * op.embed_dim * INSTRUCTIONS_PER_NORM_ELEMENT
    return passes * weights, _mac_instructions(op.tokens, op.token_tile, weights) + norms


def _mlp_cost(op: Mlp) -> tuple[int, float]:
    passes = -(-op.tokens // op.token_tile)
    parts = -(-op.hidden_dim // op.hidden_tile)
    weights = weight_bytes(op.fc1) + weight_bytes(op.fc2)
    # Partial sums are added up once per further part.
    sums = (parts - 1) * op.tokens * op.embed_dim * 2.0
    return passes * weights, _mac_instructions(op.tokens, op.token_tile, weights) + sums
