# SPDX-License-Identifier: Apache-2.0
"""The projections of an attention block: where their heads' features and tokens stand."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import (
    HeadPlaces,
    follow,
    follow_joined,
    head_places,
    trace_back,
    trace_joined,
)
from converter.fuse.patterns.linear import ProjectionMatch, is_dense, match_projection
from converter.fuse.patterns.mlp import residual_operands
from converter.fuse.patterns.products import Operand
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class Heads:
    """The layer of q, k or v; its features are in the graph's order.

    Attributes:
      places: of the heads' features in its result.
      factor: what an operand is of its result.
    """

    name: str
    projection: ProjectionMatch
    places: HeadPlaces
    factor: float
    ops: tuple[int, ...]


def match_heads(view: GraphView, operand: Operand, name: str) -> Heads:
    """The linear layer that an operand [groups, tokens, features] comes from.

    Raises:
      NoMatchError: something else is between, or it comes from something else.
    """
    trace = trace_back(view, operand.tensor, scaling=True)
    index, base, ops = trace.index.reshape(-1)[operand.index], trace.base, trace.ops
    if not is_dense(view, view.producer(base)):
        op = view.producer(base)
        got = "the graph's input" if op is None else view.label(op)
        parts = trace_joined(view, base, repeated=True)
        if not parts.ops or not is_dense(view, view.producer(parts.base)):
            raise NoMatchError(f"{name} comes from {got}, expected FULLY_CONNECTED")
        index, base, ops = parts.index.reshape(-1)[index], parts.base, (*ops, *parts.ops)
    projection = match_projection(view, base, name)
    if projection.last.activation != "NONE":
        raise NoMatchError(f"{name} has a fused {projection.last.activation}")
    places = head_places(index, projection.last.weights.shape[0], name)
    return Heads(name, projection, places, trace.factor, (*ops, *projection.ops))


@dataclasses.dataclass(frozen=True, eq=False)
class ContextTensor:
    """What the output projection reads.

    Attributes:
      value: v, [groups, key_tokens, value_dim].
      result: numbers the elements of `tensor` as [groups, tokens, value_dim].
      ops: from the softmax to the tensor.
    """

    value: Operand
    tensor: int
    result: NDArray[np.int64]
    ops: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """The output projection, and the residual ADD of `operand` behind it.

    Attributes:
      projection: its input features are in the graph's order.
      places: of the context in its input, by heads.
      tokens: int64 [rows]: where each row of its result stands at the ADD.
      end: its result with the tokens in the order of `operand`.
      ops: of both, and between them.
      dense: without the ADD.
    """

    projection: ProjectionMatch
    places: HeadPlaces
    tokens: NDArray[np.int64]
    operand: int
    add: int
    end: int
    ops: tuple[int, ...]
    dense: tuple[int, ...]


def match_output(view: GraphView, context: ContextTensor) -> Output:
    """What follows the context.

    Raises:
      NoMatchError: it is no linear layer with a residual ADD behind it.
    """
    what = "attention result"
    tensor, passed, op = _follow(view, context.tensor, what)
    if not is_dense(view, op):
        raise NoMatchError(f"attention result goes into {view.label(op)}, not FULLY_CONNECTED")
    width = view.tensor(view.op(op).inputs[1]).shape[1]
    index = trace_joined(view, tensor, stop=context.tensor).index
    if index.size != context.result.size or index.size % width:
        raise NoMatchError(f"the output projection reads {width} features per token")
    # place[e]: where element e of the product stands in the projection's input.
    place = np.empty(index.size, np.int64)
    place[index.reshape(-1)] = np.arange(index.size)
    last = view.op(op).outputs[0]
    end, after, add = _follow(view, last, "output projection")
    if is_dense(view, add):
        last = view.op(add).outputs[0]
        end, after, add = _follow(view, last, "output projection")
    if view.op(add).opcode != "ADD":
        raise NoMatchError(f"output projection goes into {view.label(add)}, expected residual ADD")
    a, b = residual_operands(view, add)
    projection = match_projection(view, last, "output projection")
    if projection.last.activation != "NONE":
        raise NoMatchError(f"output projection has a fused {projection.last.activation}")
    dense = (*passed, *(layer.op for layer in projection.layers), *projection.ops)
    tokens = _tokens(view, last, end, len(projection.last.weights))
    moved = not np.array_equal(tokens, np.arange(len(tokens)))
    return Output(
        projection=projection,
        places=head_places(place[context.result], width, what),
        tokens=tokens,
        operand=a if end == b else b,
        add=add,
        end=end if moved else last,
        ops=(*dense, *after, add),
        dense=(*dense, *after) if moved else dense,
    )


def _follow(view: GraphView, tensor: int, what: str) -> tuple[int, tuple[int, ...], int]:
    try:
        return follow(view, tensor, what)
    except NoMatchError:
        if len(view.consumers(tensor)) == 0:
            raise
        return follow_joined(view, tensor, what)


def _tokens(view: GraphView, last: int, end: int, width: int) -> NDArray[np.int64]:
    """Rows of `end`, a rearrangement of `last`, by those of `last`."""
    trace = trace_joined(view, end, stop=last)
    index = trace.index.reshape(-1, width)
    rows = index[:, 0] // width
    whole = np.array_equal(index, rows[:, None] * width + np.arange(width))
    if trace.base != last or not whole or len(set(rows.tolist())) * width != index.size:
        raise NoMatchError("the output projection's result is rearranged before the residual ADD")
    if index.size != view.tensor(last).size:
        raise NoMatchError("the residual ADD takes some of the attention's tokens (a padded grid)")
    tokens = np.empty(len(rows), np.int64)
    tokens[rows] = np.arange(len(rows))
    return tokens
