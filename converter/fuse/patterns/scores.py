# SPDX-License-Identifier: Apache-2.0
"""What goes into a softmax: rows of factor * q.k^T + bias, whatever lies between.

Views, products with a number, and masks or position biases that are constants: ADD, SUB, SELECT,
MUL by ones and zeros (GPT-2: scores * mask - 10,000 * (1 - mask)). Element numbers of the
product, the bias and what a SELECT replaces are carried through the chain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import data_input, scalar_factor
from converter.fuse.op_semantics import VIEWS, evaluate, fused_activation
from converter.fuse.patterns.products import is_learnt
from converter.fuse.rewrite.building import is_int8
from converter.fuse.rewrite.rules.swallowed_scores import largest_product
from converter.tflite import GraphView, Tensor

Index = NDArray[np.int64]
Real = NDArray[np.float64]

CASTS = frozenset({"QUANTIZE", "DEQUANTIZE"})  # the identity on real numbers
_MAX_CHAIN = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """A softmax's input: element [i] is factor * product[index[i]] + bias[i].

    Attributes:
      product: the BATCH_MATMUL, or the linear layer of a pooling.
      index: element numbers of the product, shape of the softmax's input.
      bias: of that shape.
      replaced: of that shape; where a SELECT or a factor of 0 puts a constant in the place of the
        score, which `bias` has then.
      ops: operators behind the product, the softmax left out.
    """

    product: int
    index: Index
    factor: float
    bias: Real
    replaced: NDArray[np.bool_]
    ops: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _Values:
    """Scores as they are at one place of the chain."""

    index: Index
    factor: float
    bias: Real
    replaced: NDArray[np.bool_]


def trace_scores(view: GraphView, softmax: int) -> Scores:
    """The input of a SOFTMAX, back to a product.

    Raises:
      NoMatchError: with the operator that is in the way.
    """
    tensor = view.op(softmax).inputs[0]
    chain: list[tuple[int, int, int]] = []  # (operator, what it reads, what it writes)
    while len(chain) < _MAX_CHAIN:
        op = view.producer(tensor)
        if op is None:
            raise NoMatchError("softmax input is the graph's input, expected BATCH_MATMUL")
        if view.op(op).opcode == "BATCH_MATMUL" or is_learnt(view, op):
            break
        source = data_input(view, op)
        if source is None:
            raise NoMatchError(f"scores and another tensor meet in {view.label(op)}")
        chain.insert(0, (op, source, tensor))
        tensor = source
    else:
        raise NoMatchError(f"softmax input is behind more than {_MAX_CHAIN} operators")
    shape = view.tensor(tensor).shape
    count = view.tensor(tensor).size
    numbers = np.arange(count, dtype=np.int64).reshape(shape)
    values = _Values(numbers, 1.0, np.zeros(shape), np.zeros(shape, bool))
    for op_, source, result in chain:
        values = _step(view, op_, source, result, values)
    beta = float(view.op(softmax).options.beta)
    if values.index.size != count:
        raise NoMatchError("the softmax takes some of the scores, or some twice")
    ops = tuple(op_ for op_, _, _ in chain)
    bias = values.bias * beta
    return Scores(op, values.index, values.factor * beta, bias, values.replaced, ops)


def score_limits(view: GraphView, scores: Scores) -> tuple[float, float] | None:
    """The least and the greatest score, bias left out; None where no range is known.

    Of the product's type, or of what its operands allow where that is less: beside a mask of the
    least float a type has no steps for scores (Flax scales queries before the product).
    """
    product = view.tensor(view.op(scores.product).outputs[0])
    q = product.quantization
    if q is None or len(q.scale) != 1 or product.dtype.kind != "i":
        return None
    info, unit = np.iinfo(product.dtype), scores.factor * product.scale
    low, high = sorted(unit * (end - product.zero_point) for end in (info.min, info.max))
    ends = [view.tensor(i) for i in view.op(scores.product).inputs]
    if view.op(scores.product).opcode == "BATCH_MATMUL" and all(is_int8(t) for t in ends):
        ever = abs(scores.factor) * largest_product(view, scores.product)[1]
        low, high = max(low, -ever), min(high, ever)
    return low, high


def _step(view: GraphView, op: int, source: int, result: int, v: _Values) -> _Values:
    """The values behind one operator."""
    operator = view.op(op)
    if operator.opcode in VIEWS:
        arrays = (v.index, v.bias, v.replaced)
        index, bias, replaced = (evaluate(view, [op], {source: a}, result) for a in arrays)
        return _Values(index, v.factor, bias, replaced)
    if operator.opcode in CASTS:
        return v
    factor = -1.0 if operator.opcode == "NEG" else scalar_factor(view, op, source)
    if factor is not None:
        return dataclasses.replace(v, factor=v.factor * factor, bias=v.bias * factor)
    rule = _WITH_CONSTANT.get(operator.opcode)
    if rule is None or fused_activation(operator) != "NONE":
        raise NoMatchError(f"scores go through {view.label(op)} before the softmax")
    shape = view.tensor(result).shape
    if int(np.prod(shape, dtype=np.int64)) != v.index.size:
        raise NoMatchError(f"scores are repeated by {view.label(op)}")
    spread = _Values(
        *(_wide(v.index, shape), v.factor, _wide(v.bias, shape), _wide(v.replaced, shape))
    )
    return rule(view, op, source, spread)


def _wide(array: NDArray, shape: tuple[int, ...]) -> NDArray:  # type: ignore[type-arg]
    """The array with the operator's further dimensions of one."""
    return np.broadcast_to(array, shape)


def _constant(view: GraphView, tensor: int, shape: tuple[int, ...]) -> Real:
    t: Tensor = view.tensor(tensor)
    value = t.data if t.quantization is None and t.data is not None else t.real()
    return np.broadcast_to(np.asarray(value, np.float64), shape)


def _add(view: GraphView, op: int, source: int, v: _Values) -> _Values:
    a, b = view.op(op).inputs
    return dataclasses.replace(
        v, bias=v.bias + _constant(view, b if a == source else a, v.bias.shape)
    )


def _sub(view: GraphView, op: int, source: int, v: _Values) -> _Values:
    a, b = view.op(op).inputs
    if a == source:
        return dataclasses.replace(v, bias=v.bias - _constant(view, b, v.bias.shape))
    bias = _constant(view, a, v.bias.shape) - v.bias
    return dataclasses.replace(v, factor=-v.factor, bias=bias)


def _select(view: GraphView, op: int, source: int, v: _Values) -> _Values:
    condition, yes, no = view.op(op).inputs
    if source == condition:
        raise NoMatchError(f"scores choose in {view.label(op)}")
    if view.op(op).opcode == "SELECT" and view.tensor(condition).shape != v.bias.shape:
        raise NoMatchError(f"{view.label(op)} has a condition for each row of the scores")
    taken = _constant(view, condition, v.bias.shape) != 0.0
    constant = _constant(view, no if yes == source else yes, v.bias.shape)
    kept = taken if yes == source else ~taken
    return dataclasses.replace(
        v, bias=np.where(kept, v.bias, constant), replaced=v.replaced | ~kept
    )


def _mul(view: GraphView, op: int, source: int, v: _Values) -> _Values:
    """Scores times one number, or 0 in their place."""
    a, b = view.op(op).inputs
    factors = _constant(view, b if a == source else a, v.bias.shape)
    kept = factors != 0.0
    numbers = np.unique(factors[kept])
    if len(numbers) != 1:
        raise NoMatchError(f"scores go through {view.label(op)} before the softmax")
    factor = float(numbers[0])
    bias = np.where(kept, v.bias * factor, 0.0)
    return _Values(v.index, v.factor * factor, bias, v.replaced | ~kept)


def _clamp(view: GraphView, op: int, source: int, v: _Values) -> _Values:
    """A limit that no value of the tensor's type reaches does nothing."""
    a, b = view.op(op).inputs
    limit = _constant(view, b if a == source else a, v.bias.shape)
    t = view.tensor(source)
    if t.quantization is not None and len(t.quantization.scale) == 1:
        ends = np.iinfo(t.dtype)
        low, high = (t.scale * (end - t.zero_point) for end in (ends.min, ends.max))
        upper = view.op(op).opcode == "MINIMUM"
        if np.all(limit >= high) if upper else np.all(limit <= low):
            return v
    raise NoMatchError(f"scores are limited by {view.label(op)}")


_WITH_CONSTANT: dict[str, Callable[[GraphView, int, int, _Values], _Values]] = {
    "ADD": _add,
    "SUB": _sub,
    "MUL": _mul,
    "SELECT": _select,
    "SELECT_V2": _select,
    "MAXIMUM": _clamp,
    "MINIMUM": _clamp,
}
