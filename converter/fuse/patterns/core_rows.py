# SPDX-License-Identifier: Apache-2.0
"""softmax(scores).v as products [groups][tokens], in one order for q, k, v, bias and result.

A group is what shares its keys: a head of a window, of a batch. Both products may number groups and
tokens in another way, and put heads into rows; element numbers say which row meets which.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import MAX_CHAIN, data_input, element_index, only_consumer
from converter.fuse.op_semantics import VIEWS
from converter.fuse.patterns.products import Operand, operands
from converter.fuse.patterns.scores import CASTS, Index, Real, Scores
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Attention without its plumbing.

    Attributes:
      query: [groups, tokens, head_dim].
      key: [groups, key_tokens, head_dim].
      value: [groups, key_tokens, value_dim].
      bias, replaced: [groups, tokens, key_tokens], as in `Scores`.
      context: the product's tensor.
      result: its element numbers, [groups, tokens, value_dim].
      ops: operators behind the scores, the softmax left out.
    """

    query: Operand
    key: Operand
    value: Operand
    bias: Real
    replaced: NDArray[np.bool_]
    context: int
    result: Index
    ops: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _Queries:
    """Queries, keys, and the number (row * key_tokens + key) of each of the softmax's elements."""

    query: Operand
    key: Operand
    number: Index


def match_rows(view: GraphView, softmax: int, scores: Scores) -> Rows:
    """Both products around a softmax.

    Raises:
      NoMatchError: the softmax does not run over the keys, or its result is no factor of v.
    """
    q = _queries(view, scores)
    count, keys = q.number.size, q.key.index.shape[1]
    bias, replaced = np.empty(count), np.empty(count, bool)
    bias[q.number.reshape(-1)] = scores.bias.reshape(-1)
    replaced[q.number.reshape(-1)] = scores.replaced.reshape(-1)
    rows, passed, product = multiplied_at(view, softmax)
    left, right, result = _context(view, rows, product)
    p = q.number.reshape(-1)[element_index(view, _output(view, softmax), rows, list(passed))]
    meeting = _meeting(q.query.index.shape[1], keys, p.reshape(-1)[left.index])
    shape = meeting.rows.shape

    def by_row(array: Index, order: Index) -> Index:
        return array.reshape(-1, array.shape[-1])[order].reshape(*shape, -1)

    values = right.index.swapaxes(1, 2)
    return Rows(
        query=Operand(q.query.tensor, by_row(q.query.index, meeting.rows)),
        key=Operand(q.key.tensor, q.key.index[meeting.key_groups]),
        value=Operand(right.tensor, values[meeting.value_groups]),
        bias=bias.reshape(-1, keys)[meeting.rows],
        replaced=replaced.reshape(-1, keys)[meeting.rows],
        context=_output(view, product),
        result=by_row(result, meeting.places),
        ops=(*passed, product),
    )


def _output(view: GraphView, op: int) -> int:
    return view.op(op).outputs[0]


@dataclasses.dataclass(frozen=True, eq=False)
class _Meeting:
    """Rows of both products, put together in groups that share keys and values.

    Attributes:
      rows, places: of the first and of the second product, [groups, tokens].
      key_groups, value_groups: groups of the products' other operands, [groups].
    """

    rows: Index
    places: Index
    key_groups: Index
    value_groups: Index


def _meeting(tokens: int, keys: int, found: Index) -> _Meeting:
    """How rows meet.

    Args:
      tokens: rows of a group of the first product.
      found: number (row * keys + key) of the first product's element at each of the second
        product's, [its groups, its rows, keys].

    Raises:
      NoMatchError: keys and values are not summed over, or rows share one of them only.
    """
    if found.shape[2] != keys or np.any(found != found[:, :, :1] + np.arange(keys)):
        raise NoMatchError("softmax output is not multiplied by v over the keys")
    there = found[:, :, 0].reshape(-1) // keys  # the row at each place
    place = np.argsort(there)
    straight = np.arange(there.size)
    if np.any(found[:, :, 0] % keys) or not np.array_equal(there[place], straight):
        raise NoMatchError("softmax output is not multiplied by v over the keys")
    for size in sorted({tokens, found.shape[1]}, reverse=True):
        for rows in (straight, there):
            key_groups, value_groups = rows // tokens, place[rows] // found.shape[1]
            both = [g.reshape(-1, size) for g in (key_groups, value_groups)]
            if all(np.all(g == g[:, :1]) for g in both):
                order = np.argsort(both[0][:, 0], kind="stable")  # heads that share keys, together
                parts = (rows.reshape(-1, size), place[rows].reshape(-1, size))
                return _Meeting(*(p[order] for p in parts), *(g[order, 0] for g in both))
    raise NoMatchError("rows that share keys do not share values")


def _queries(view: GraphView, scores: Scores) -> _Queries:
    left, right = operands(view, scores.product)
    groups, rows, columns = len(left.index), left.index.shape[1], right.index.shape[1]
    index = scores.index.reshape(-1, scores.index.shape[-1])
    group, rest = np.divmod(index, rows * columns)
    row, column = np.divmod(rest, columns)
    ways = [(left, right, row, column), (right, left, column, row)]
    if view.op(scores.product).opcode == "FULLY_CONNECTED":
        ways = ways[1:]  # the weights are queries; as keys they would have a bias each
    for query, key, token, at in ways:
        keys = key.index.shape[1]
        same = np.all(group == group[:, :1]) and np.all(token == token[:, :1])
        if same and index.shape[1] == keys and index.size == groups * rows * columns:
            number = (group * query.index.shape[1] + token) * keys + at
            return _Queries(query, key, number)
    raise NoMatchError("the softmax does not run over the keys of one query and head")


def multiplied_at(view: GraphView, softmax: int) -> tuple[int, tuple[int, ...], int]:
    """(tensor, operators before it, product) where the softmax's result is multiplied by v."""
    tensor = _output(view, softmax)
    passed: list[int] = []
    while len(passed) < MAX_CHAIN:
        op = only_consumer(view, tensor, "softmax output")
        operator = view.op(op)
        if operator.opcode == "BATCH_MATMUL":
            return tensor, tuple(passed), op
        moves = operator.opcode in VIEWS or operator.opcode in CASTS
        if not moves or len(operator.outputs) != 1 or data_input(view, op) != tensor:
            raise NoMatchError(f"softmax output goes into {view.label(op)}, not a BATCH_MATMUL")
        passed.append(op)
        tensor = operator.outputs[0]
    raise NoMatchError(f"softmax output passes more than {MAX_CHAIN} views")


def _context(view: GraphView, rows: int, product: int) -> tuple[Operand, Operand, Index]:
    """(probabilities, v, result's element numbers) of the second product."""
    left, right = operands(view, product)
    shape = (len(left.index), left.index.shape[1], right.index.shape[1])
    numbers = np.arange(view.tensor(_output(view, product)).size).reshape(shape)
    if left.tensor == rows and right.tensor != rows:
        return left, right, numbers
    if right.tensor == rows and left.tensor != rows:
        return right, left, numbers.swapaxes(1, 2)
    raise NoMatchError("softmax output is multiplied by itself")
