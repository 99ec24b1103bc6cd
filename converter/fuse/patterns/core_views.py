# SPDX-License-Identifier: Apache-2.0
"""Batches, heads and strides of q, k, v and context: as much plumbing as they can stand for.

Every operand may be read where it is multiplied, or before the last RESHAPE, TRANSPOSE, SPLIT,
TILE ... of it, as far back as its elements stand at even distances. Which distances there are
depends on how groups are taken for batches and heads, so all ways are tried.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import MAX_CHAIN, data_input, element_index, scalar_factor
from converter.fuse.op_semantics import BROADCASTS, JOINS, VIEWS
from converter.fuse.patterns.core_rows import Rows
from converter.fuse.patterns.products import Operand
from converter.fuse.patterns.scores import CASTS, Index
from converter.fuse.rewrite.building import is_int8, single_reader
from converter.fuse.strides import Strides, strides_of
from converter.tflite import GraphView

_MAX_GROUPS = 64  # heads that are looked for in the rows of a product


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A tensor where an operand (or the result) may be read (written).

    Attributes:
      tensor: int8.
      index: its element numbers, [groups, rows, features].
      factor: what the operand is of it.
      ops: operators between it and the product.
    """

    tensor: int
    index: Index
    factor: float
    ops: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Strided:
    """A place, by strides."""

    place: Place
    strides: Strides


@dataclasses.dataclass(frozen=True, eq=False)
class Arrangement:
    """Groups as batches and heads; of keys and values one head for heads // key_heads."""

    batches: int
    heads: int
    key_heads: int
    tokens: int
    query: Strided
    key: Strided
    value: Strided
    result: Strided

    @property
    def views(self) -> frozenset[int]:
        """Operators that the strides stand for."""
        parts = (self.query, self.key, self.value, self.result)
        return frozenset(op for part in parts for op in part.place.ops)


def sources(view: GraphView, operand: Operand) -> list[Place]:
    """The tensors that an operand can be read from, the nearest first."""
    tensor, index, factor = operand.tensor, operand.index, 1.0
    ops: tuple[int, ...] = ()
    found: list[Place] = []
    while len(ops) <= MAX_CHAIN:
        if is_int8(view.tensor(tensor)):
            found.append(Place(tensor, index, factor, ops))
        op = view.producer(tensor)
        step = None if op is None else _step_back(view, op)
        if op is None or step is None:
            break
        source, times = step
        index = element_index(view, source, tensor, [op]).reshape(-1)[index]
        tensor, factor, ops = source, factor * times, (op, *ops)
    return found


def _step_back(view: GraphView, op: int) -> tuple[int, float] | None:
    """(tensor, factor) that an operator moves, repeats or scales; None for others."""
    operator = view.op(op)
    source = data_input(view, op)
    if source is None:
        return None
    moves = operator.opcode in VIEWS or operator.opcode in BROADCASTS or operator.opcode in CASTS
    joins = operator.opcode in JOINS and set(operator.inputs) == {source}
    if moves or joins:
        return source, 1.0
    factor = scalar_factor(view, op, source)
    return None if factor is None else (source, factor)


def results(view: GraphView, rows: Rows) -> list[Place]:
    """The tensors that the context can be written to, the nearest first."""
    tensor = rows.context
    ops: tuple[int, ...] = ()
    found: list[Place] = []
    while len(ops) <= MAX_CHAIN and view.tensor(tensor).size == rows.result.size:
        if is_int8(view.tensor(tensor)):
            place = np.empty(rows.result.size, np.int64)
            numbers = element_index(view, rows.context, tensor, list(ops)).reshape(-1)
            place[numbers] = np.arange(rows.result.size)
            found.append(Place(tensor, place[rows.result], 1.0, ops))
        op = single_reader(view, tensor)
        if op is None or len(view.op(op).outputs) != 1 or data_input(view, op) != tensor:
            break
        if view.op(op).opcode not in VIEWS and view.op(op).opcode not in CASTS:
            break
        tensor, ops = view.op(op).outputs[0], (*ops, op)
    return found


def arrange(view: GraphView, rows: Rows) -> Arrangement:
    """The arrangement that leaves the least plumbing, then the shortest bias.

    Raises:
      NoMatchError: there is none.
    """
    places = [sources(view, o) for o in (rows.query, rows.key, rows.value)]
    places.append(results(view, rows))
    for name, options in zip(("q", "k", "v", "the result"), places, strict=True):
        if not options:
            raise NoMatchError(f"{name} is in no int8 tensor")
    heads = _natural_heads(view, rows)
    best: Arrangement | None = None
    most: tuple[int, ...] = ()
    for found in _arrangements(places, rows):
        rank = (
            len(found.views),
            found.tokens,
            -_bias_size(rows, found.batches, found.heads),
            found.heads // found.key_heads,
            found.heads == heads,
            -found.batches,
        )
        if best is None or rank > most:
            best, most = found, rank
    if best is None:
        raise NoMatchError("heads and batches of q, k and v do not stand at even distances")
    return best


def _natural_heads(view: GraphView, rows: Rows) -> int:
    shape = view.tensor(rows.context).shape
    return shape[-3] if len(shape) > 3 else len(rows.result)


def _arrangements(places: Sequence[Sequence[Place]], rows: Rows) -> Iterator[Arrangement]:
    groups, tokens, _ = rows.result.shape
    for parts in _divisors(tokens):
        if parts > 1 and groups * parts > _MAX_GROUPS:
            continue
        for heads in _divisors(groups * parts):
            yield from _with_heads(places, groups * parts // heads, heads, tokens // parts)


def _with_heads(
    places: Sequence[Sequence[Place]], batches: int, heads: int, tokens: int
) -> Iterator[Arrangement]:
    def of_queries(index: Index) -> Strides | None:
        return strides_of(index.reshape(batches, heads, tokens, index.shape[2]))

    query, result = (_farthest(places[i], of_queries) for i in (0, 3))
    if query is None or result is None:
        return
    for shared in reversed(_divisors(heads)):

        def of_keys(index: Index, shared: int = shared) -> Strides | None:
            return _of_keys(index, batches, heads, shared)

        key, value = (_farthest(places[i], of_keys) for i in (1, 2))
        if key is not None and value is not None:
            yield Arrangement(batches, heads, heads // shared, tokens, query, key, value, result)


def _of_keys(index: Index, batches: int, heads: int, shared: int) -> Strides | None:
    """Strides of [groups, keys, features] where `shared` neighbouring heads have the same."""
    groups, keys, features = index.shape
    parts = batches * heads // groups  # heads that stand in the rows of one group
    if parts > 1:
        index = np.broadcast_to(index[:, None], (groups, parts, keys, features))
    split = index.reshape(batches, heads // shared, shared, keys, features)
    if shared > 1 and np.any(split != split[:, :, :1]):
        return None
    return strides_of(split[:, :, 0])


def _farthest(
    places: Sequence[Place], strides: Callable[[Index], Strides | None]
) -> Strided | None:
    for place in reversed(places):
        found = strides(place.index)
        if found is not None:
            return Strided(place, found)
    return None


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _bias_size(rows: Rows, batches: int, heads: int) -> int:
    """Values of the bias when it is stored once where batches or heads share it."""
    if not np.any(rows.bias) and not np.any(rows.replaced):
        return 0
    return shortest(rows.bias.reshape(batches, heads, *_sizes(rows, batches * heads))).size


def _sizes(rows: Rows, groups: int) -> tuple[int, int]:
    keys = rows.bias.shape[2]
    return rows.bias.size // (groups * keys), keys


def shortest(bias: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """[batches, heads, ...] without batches that repeat in turn, and with one head for all."""
    for period in _divisors(len(bias)):
        turns = bias.reshape(-1, period, *bias.shape[1:])
        if np.array_equal(turns, np.broadcast_to(turns[:1], turns.shape)):
            bias = bias[:period]
            break
    same = np.array_equal(bias, np.broadcast_to(bias[:, :1], bias.shape))
    return bias[:, :1] if same else bias
