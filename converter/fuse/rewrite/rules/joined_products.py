# SPDX-License-Identifier: Apache-2.0
"""Products of single heads, put side by side by PACK or CONCATENATION, become one BATCH_MATMUL.

TensorFlow's converter unfolds a product into SPLIT, one FULLY_CONNECTED a head (a BATCH_MATMUL by
then, see computed_weights) and PACK; some networks are written that way.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.layout import MAX_CHAIN, element_index, view_input
from converter.fuse.op_semantics import JOINS, evaluate, fused_activation
from converter.fuse.rewrite.building import Builder, same_type, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.moves import Index, Move, emit, moves_for
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """One head's product and how it reaches the join.

    Attributes:
      product: the BATCH_MATMUL.
      views: operators between it and the join, first to last.
      joined: the join's input.
    """

    product: int
    views: tuple[int, ...]
    joined: int


@dataclasses.dataclass(frozen=True, eq=False)
class _Stack:
    """One operand of all heads as moves of one tensor.

    Attributes:
      base: that tensor.
      moves: from the tensor to [heads, rows, columns].
      shape: of the result.
      views: operators that the heads' operands came from.
    """

    base: int
    moves: tuple[Move, ...]
    shape: tuple[int, ...]
    views: frozenset[int]


def _part(view: GraphView, joined: int) -> _Part | None:
    views: list[int] = []
    tensor = joined
    while len(views) < MAX_CHAIN:
        op = view.producer(tensor)
        if op is None or single_reader(view, tensor) is None:
            return None
        if view.op(op).opcode == "BATCH_MATMUL":
            return _Part(op, tuple(views[::-1]), joined)
        source = view_input(view, op)
        if source is None or len(view.op(op).outputs) != 1:
            return None
        views.append(op)
        tensor = source
    return None


def _ancestors(view: GraphView, tensor: int) -> list[tuple[int, tuple[int, ...]]]:
    """(tensor, operators from it to `tensor`) of every tensor that it is a view of."""
    found: list[tuple[int, tuple[int, ...]]] = [(tensor, ())]
    while len(found) < MAX_CHAIN:
        base, ops = found[-1]
        op = view.producer(base)
        source = None if op is None else view_input(view, op)
        if op is None or source is None or not same_type(view.tensor(source), view.tensor(base)):
            break
        found.append((source, (op, *ops)))
    return found


def _stack(view: GraphView, tensors: list[int]) -> _Stack | None:
    """All heads' operands as one tensor [heads, rows, columns]."""
    if len({view.tensor(t).shape for t in tensors}) != 1:
        return None
    chains = [_ancestors(view, t) for t in tensors]
    common = set.intersection(*({base for base, _ in chain} for chain in chains))
    base = next((base for base, _ in chains[0] if base in common), None)
    if base is None:
        return None
    indices: list[Index] = []
    views: set[int] = set()
    for tensor, chain in zip(tensors, chains, strict=True):
        ops = next(ops for at, ops in chain if at == base)
        views |= set(ops)
        rows = element_index(view, base, tensor, list(ops))
        indices.append(rows.reshape(-1, *rows.shape[-2:]))
    index = np.concatenate(indices)
    moves = moves_for(view.tensor(base).shape, index)
    return None if moves is None else _Stack(base, moves, index.shape, frozenset(views))


def _joined_index(view: GraphView, join: int, parts: list[_Part]) -> Index:
    """Where the join puts the elements of all products, numbered one after the other."""
    count = view.tensor(view.op(parts[0].product).outputs[0]).size
    known = {}
    for i, part in enumerate(parts):
        product = view.op(part.product).outputs[0]
        known[part.joined] = element_index(view, product, part.joined, list(part.views)) + i * count
    result = view.op(join).outputs[0]
    return np.asarray(evaluate(view, [join], known, result), np.int64)


def _apply(view: GraphView, join: int) -> Edit | None:
    operator = view.op(join)
    result = operator.outputs[0]
    if len(operator.inputs) < 2 or len(set(operator.inputs)) != len(operator.inputs):
        return None
    if fused_activation(operator) != "NONE":
        return None
    parts: list[_Part] = []
    for tensor in operator.inputs:
        part = _part(view, tensor)
        if part is None:
            return None
        parts.append(part)
    products = [view.op(p.product) for p in parts]
    first = products[0]
    options = {(bool(p.options.adjX), bool(p.options.adjY)) for p in products}
    outputs = [view.tensor(p.outputs[0]) for p in products]
    same = all(o.shape == outputs[0].shape and same_type(o, view.tensor(result)) for o in outputs)
    if len({p.product for p in parts}) != len(parts) or len(options) != 1 or not same:
        return None
    left = _stack(view, [p.inputs[0] for p in products])
    right = _stack(view, [p.inputs[1] for p in products])
    if left is None or right is None or left.shape[0] != right.shape[0]:
        return None
    return _edit(view, join, parts, left, right, first.outputs[0])


def _edit(
    view: GraphView, join: int, parts: list[_Part], left: _Stack, right: _Stack, like: int
) -> Edit | None:
    options = view.op(parts[0].product).options
    result = view.op(join).outputs[0]
    rows, columns = view.tensor(like).shape[-2:]
    shape = (left.shape[0], rows, columns)
    index = _joined_index(view, join, parts)
    moves = moves_for(shape, index)
    if moves is None or index.size != left.shape[0] * rows * columns:
        return None
    b = Builder(view)
    operands = [emit(b, s.base, s.moves) for s in (left, right)]
    product = b.like(like, shape, view.tensor(like).name) if moves else result
    flags = {"adjX": bool(options.adjX), "adjY": bool(options.adjY)}
    b.op("BATCH_MATMUL", operands, [product], "BatchMatMulOptions", **flags)
    if moves:
        emit(b, product, moves, result)
    gone = {join, *(p.product for p in parts), *(v for p in parts for v in p.views)}
    gone |= _unread(view, left.views | right.views, gone)
    return Edit(tuple(sorted(gone)), tuple(b.operators), tuple(b.tensors))


def _unread(view: GraphView, views: frozenset[int], gone: set[int]) -> set[int]:
    """The operators that nobody reads once `gone` are gone."""
    dead: set[int] = set()
    for op in sorted(views, reverse=True):  # readers come behind what they read
        outputs = view.op(op).outputs
        readers = {r for t in outputs for r in view.consumers(t)}
        if readers <= gone | dead and not any(t in view.graph.outputs for t in outputs):
            dead.add(op)
    return dead


RULE = Rule(
    "joined_products",
    "turns the products of single heads that PACK or CONCATENATION joins into one BATCH_MATMUL",
    frozenset(JOINS),
    _apply,
)
