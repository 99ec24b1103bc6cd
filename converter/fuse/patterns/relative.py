# SPDX-License-Identifier: Apache-2.0
"""Relative keys and values (AutoFormer, MCUFormer) in the graph: products with constants.

Scores are q.k + q.r_k and the context is p.v + p.r_v, with constants r [tokens, tokens, features]
that depend on the distance of query and key in rows and in columns (`relative_tables`). Both sums
are read by element numbers, so that any order of heads and tokens around the products will do.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import MAX_CHAIN, trace_back, view_input
from converter.fuse.op_semantics import fused_activation
from converter.fuse.patterns.products import Operand, operands
from converter.tflite import GraphView

Index = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Addend:
    """A product in a sum: element e of the sum has factor * product[index[e]]."""

    product: int
    index: Index
    factor: float


@dataclasses.dataclass(frozen=True, eq=False)
class Sum:
    """`main`, a product of activations, plus `relative`, one with a constant.

    Attributes:
      ops: from the products on.
    """

    main: Addend
    relative: Addend
    ops: tuple[int, ...]


def sum_of_products(view: GraphView, tensor: int) -> Sum | None:
    """The two products that a tensor is the scaled sum of; None where it is anything else."""
    outer = trace_back(view, tensor, scaling=True)
    add = view.producer(outer.base)
    if add is None or view.op(add).opcode != "ADD" or fused_activation(view.op(add)) != "NONE":
        return None
    found: dict[bool, Addend] = {}
    ops = [*outer.ops, add]
    for source in view.op(add).inputs:
        inner = trace_back(view, source, scaling=True)
        product = view.producer(inner.base)
        if product is None or view.op(product).opcode != "BATCH_MATMUL":
            return None
        if _shape(view, source) != _shape(view, outer.base):
            return None  # repeated
        index = inner.index.reshape(-1)[outer.index]
        constant = any(view.is_constant(i) for i in view.op(product).inputs)
        found[constant] = Addend(product, index, outer.factor * inner.factor)
        ops += [*inner.ops, product]
    return Sum(found[False], found[True], tuple(ops)) if len(found) == 2 else None


def _shape(view: GraphView, tensor: int) -> list[int]:
    """Without leading ones."""
    shape = list(view.tensor(tensor).shape)
    while shape and shape[0] == 1:
        shape.pop(0)
    return shape


def products_of(view: GraphView, tensor: int) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
    """([(operand, product)], views passed): every product that reads a tensor or a view of it.

    Raises:
      NoMatchError: something else reads it.
    """
    found: list[tuple[int, int]] = []
    passed: list[int] = []
    pending = [tensor]
    while pending:
        at = pending.pop()
        for op in view.consumers(at):
            if view.op(op).opcode == "BATCH_MATMUL":
                found.append((at, op))
                continue
            if view_input(view, op) is None or len(passed) >= MAX_CHAIN or at in view.graph.outputs:
                raise NoMatchError(f"softmax output goes into {view.label(op)}, not a BATCH_MATMUL")
            passed.append(op)
            pending += view.op(op).outputs
    return found, tuple(passed)


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
    """Rows of a product with a constant.

    Attributes:
      tensor, rows: element numbers [heads, tokens, n] of its activation.
      constant: real [tokens, m, n]: what element [head, token, m] of the product is summed with.
      step: of the constant's quantization.
    """

    tensor: int
    rows: Index
    constant: Real
    step: float


def vectors_of(view: GraphView, product: int, index: Index) -> Vectors:
    """The operands of a product whose elements [heads, tokens, m] are numbered by `index`.

    Raises:
      NoMatchError: an element depends on more than its head's and token's row and the constant's.
    """
    left, right = operands(view, product)
    columns = right.index.shape[1]
    group, rest = np.divmod(index, left.index.shape[1] * columns)
    row, column = np.divmod(rest, columns)
    active, fixed = (left, row), (right, column)
    if view.is_constant(left.tensor):
        active, fixed = fixed, active
    rows = _row_numbers(active[0], group, active[1])
    vectors = _row_numbers(fixed[0], group, fixed[1])
    if np.any(rows != rows[:, :, :1]) or np.any(vectors != vectors[:1]):
        raise NoMatchError("a product with a constant in the attention is not by head and token")
    tensor = view.tensor(fixed[0].tensor)
    constant = tensor.real().reshape(-1)[fixed[0].index.reshape(-1, fixed[0].index.shape[2])]
    scale = float(np.max(tensor.quantization.scale)) if tensor.quantization is not None else 0.0
    numbers = active[0].index.reshape(-1, active[0].index.shape[2])
    return Vectors(active[0].tensor, numbers[rows[:, :, 0]], constant[vectors[0]], scale)


def _row_numbers(operand: Operand, group: Index, row: Index) -> Index:
    """Rows of all groups, numbered on; those that groups share have one number."""
    groups, rows, _ = operand.index.shape
    first = operand.index[:, :, 0].reshape(-1)
    _, representative, inverse = np.unique(first, return_index=True, return_inverse=True)
    numbers: Index = representative[inverse].reshape(groups, rows)[group, row]
    return numbers


@dataclasses.dataclass(frozen=True, eq=False)
class RelativePart:
    """Of keys or values, in the unit of what they are added to: [tokens, tokens, features].

    Attributes:
      step: of their quantization.
      ops: views between what is multiplied and the product.
    """

    vectors: Real
    step: float
    ops: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class RelativeVectors:
    """What is added to keys and values for each pair of query and key.

    Attributes:
      keys: [tokens, tokens, head_dim] in the keys' unit; None for none.
      values: [tokens, tokens, value_dim] likewise.
      key_step, value_step: of their quantization, in the same units.
    """

    keys: Real | None
    values: Real | None
    key_step: float
    value_step: float


def relative_keys(view: GraphView, sums: Sum, index: Index, query: Operand) -> RelativePart:
    """r_k, as keys are that `query` is multiplied with.

    Args:
      index: elements of the relative product, [heads, tokens, tokens].

    Raises:
      NoMatchError: another tensor than the queries is multiplied, or by heads.
    """
    found = vectors_of(view, sums.relative.product, index)
    mine, other = (trace_back(view, t, scaling=True) for t in (query.tensor, found.tensor))
    numbers = mine.index.reshape(-1)[query.index]
    same = np.array_equal(numbers, other.index.reshape(-1)[found.rows])
    if mine.base != other.base or not same:
        raise NoMatchError("what is multiplied with constants in the attention is not q")
    factor = sums.relative.factor * other.factor / (sums.main.factor * mine.factor)
    return RelativePart(found.constant * factor, found.step * abs(factor), other.ops)


def relative_values(view: GraphView, sums: Sum, index: Index, probabilities: int) -> RelativePart:
    """r_v, as values are that are weighed.

    Args:
      index: elements of the relative product, [heads, tokens, value_dim].
      probabilities: the softmax's output.

    Raises:
      NoMatchError: another tensor is multiplied, or not over the keys of each head and query.
    """
    found = vectors_of(view, sums.relative.product, index)
    trace = trace_back(view, found.tensor, stop=probabilities)
    numbers = trace.index.reshape(-1)[found.rows]
    straight = np.arange(numbers.size).reshape(numbers.shape)
    if trace.base != probabilities or not np.array_equal(numbers, straight):
        raise NoMatchError("what is multiplied with constants behind the softmax is not its output")
    factor = sums.relative.factor / sums.main.factor
    vectors = found.constant.swapaxes(1, 2) * factor
    return RelativePart(vectors, found.step * abs(factor), trace.ops)
