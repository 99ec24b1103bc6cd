# SPDX-License-Identifier: Apache-2.0
"""Which element of a base tensor stands where, after reshapes, transposes, splits and slices.

A trace runs the views on element numbers 0..n-1 of the base tensor. The result says exactly what
the graph's plumbing does, whatever operators it is written with.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import (
    BROADCASTS,
    JOINS,
    RESHAPES,
    VIEWS,
    evaluate,
    fused_activation,
)
from converter.tflite import GraphView

_CASTS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_IN_ORDER = RESHAPES | _CASTS
_MOVES = frozenset({*VIEWS, *BROADCASTS, *JOINS})
MAX_CHAIN = 16  # views in a row; a bound for strange graphs


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """A tensor as a scaled view of a base tensor: tensor = factor * base[index].

    Attributes:
      base: tensor where the chain of views starts.
      index: int64, shape of the tensor traced; element numbers of the base.
      factor: product of the constants that the chain multiplies by.
      ops: the chain's operators.
    """

    base: int
    index: NDArray[np.int64]
    factor: float
    ops: tuple[int, ...]


def scalar_factor(view: GraphView, op: int, tensor: int) -> float | None:
    """c if the operator multiplies `tensor` by one constant number (MUL, DIV), else None."""
    operator = view.op(op)
    if operator.opcode not in ("MUL", "DIV") or fused_activation(operator) != "NONE":
        return None
    left, right = operator.inputs
    other = right if left == tensor else left
    if not view.is_constant(other) or view.tensor(other).size != 1:
        return None
    value = float(view.tensor(other).real().reshape(-1)[0])
    if operator.opcode == "MUL":
        return value
    return 1.0 / value if tensor == left and value else None


def is_requantize(view: GraphView, op: int) -> bool:
    """A QUANTIZE of int8 or int16 to such a type: the identity on real numbers."""
    operator = view.op(op)
    return operator.opcode == "QUANTIZE" and all(
        view.tensor(i).dtype in (np.int8, np.int16)
        for i in (operator.inputs[0], operator.outputs[0])
    )


def data_input(view: GraphView, op: int) -> int | None:
    """The one activation an operator reads; None if there are none or several.

    Of a DEQUANTIZE what it reads, a constant too: integers that a product is to have.
    """
    if view.op(op).opcode == "DEQUANTIZE":
        return view.op(op).inputs[0]
    inputs = {i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)}
    return inputs.pop() if len(inputs) == 1 else None


def view_input(view: GraphView, op: int) -> int | None:
    """The tensor whose elements a view (or a QUANTIZE of integers) moves; None for others."""
    operator = view.op(op)
    if operator.opcode not in VIEWS and not is_requantize(view, op):
        return None
    source = operator.inputs[1 if operator.opcode == "SPLIT" else 0]
    return source if data_input(view, op) == source else None


def passed_input(view: GraphView, op: int) -> int | None:
    """The same, through a DEQUANTIZE of int8 too: the identity on real numbers."""
    operator = view.op(op)
    if operator.opcode == "DEQUANTIZE" and view.tensor(operator.inputs[0]).dtype == np.int8:
        return data_input(view, op)
    return view_input(view, op)


def step_back(view: GraphView, tensor: int, scaling: bool) -> tuple[int, int, float] | None:
    """(operator, its input, factor) if `tensor` is a view or a scaled copy of that input."""
    op = view.producer(tensor)
    if op is None:
        return None
    source = passed_input(view, op)
    if source is not None:
        return op, source, 1.0
    source = data_input(view, op)
    factor = scalar_factor(view, op, source) if scaling and source is not None else None
    return None if factor is None or source is None else (op, source, factor)


def trace_back(
    view: GraphView, tensor: int, *, scaling: bool = False, stop: int | None = None
) -> Trace:
    """Follows views (and, with `scaling`, products with a constant) back to their base tensor.

    Args:
      stop: a tensor to stop at even if it is itself a view of another.
    """
    ops: list[int] = []
    base, factor = tensor, 1.0
    while base != stop and len(ops) < MAX_CHAIN:
        step = step_back(view, base, scaling)
        if step is None:
            break
        op, base, f = step
        ops.append(op)
        factor *= f
    return Trace(base, element_index(view, base, tensor, ops[::-1]), factor, tuple(ops))


def element_index(view: GraphView, base: int, tensor: int, ops: list[int]) -> NDArray[np.int64]:
    """Element numbers of `base`, as the views `ops` arrange them in `tensor`."""
    shape = view.tensor(base).shape
    numbers = np.arange(view.tensor(base).size, dtype=np.int64).reshape(shape)
    moving = [op for op in ops if view.op(op).opcode in _MOVES]
    # Copies (MUL by a constant, casts) keep the layout: hand the numbers across.
    values = {base: numbers}
    for op in ops:
        source = data_input(view, op)
        assert source is not None
        if op in moving:
            for out in view.op(op).outputs:
                values[out] = evaluate(view, [op], {source: values[source]}, out)
        else:
            values[view.op(op).outputs[0]] = values[source]
    return values[tensor]


def same_order(view: GraphView, tensor: int) -> Trace:
    """Follows only what keeps every element in its place (reshapes, QUANTIZE of integers)."""
    ops: list[int] = []
    base = tensor
    while len(ops) < MAX_CHAIN:
        op = view.producer(base)
        source = None if op is None else passed_input(view, op)
        if op is None or source is None or view.op(op).opcode not in _IN_ORDER:
            break
        ops.append(op)
        base = source
    index = np.arange(view.tensor(tensor).size, dtype=np.int64)
    return Trace(base, index.reshape(view.tensor(tensor).shape), 1.0, tuple(ops))


def shared_source(view: GraphView, a: int, b: int) -> tuple[int, tuple[int, ...]] | None:
    """The nearest tensor whose elements both hold in order, and the operators from it to `a`."""
    ways = _in_order(view, b)
    for count, tensor in enumerate(_in_order(view, a)):
        if tensor in ways:
            return tensor, same_order(view, a).ops[:count]
    return None


def _in_order(view: GraphView, tensor: int) -> list[int]:
    """The tensor, and what it holds the elements of in order, the nearest first."""
    return [tensor, *(view.op(op).inputs[0] for op in same_order(view, tensor).ops)]


def only_consumer(view: GraphView, tensor: int, what: str) -> int:
    """The single operator that reads a tensor.

    Raises:
      NoMatchError: none or several do, or the tensor is an output of the graph.
    """
    readers = view.consumers(tensor)
    if tensor in view.graph.outputs:
        raise NoMatchError(f"{what} is an output of the graph")
    if len(readers) != 1:
        names = ", ".join(view.label(r) for r in readers) or "nothing"
        raise NoMatchError(f"{what} is read by {names}, expected one operator")
    return readers[0]


def follow(view: GraphView, tensor: int, what: str) -> tuple[int, tuple[int, ...], int]:
    """Follows views forward to the first operator that computes.

    Returns:
      (tensor that it reads, views passed, the operator).
    """
    passed: list[int] = []
    while len(passed) < MAX_CHAIN:
        op = only_consumer(view, tensor, what)
        if passed_input(view, op) is None or len(view.op(op).outputs) != 1:
            return tensor, tuple(passed), op
        passed.append(op)
        tensor = view.op(op).outputs[0]
    raise NoMatchError(f"{what} passes more than {MAX_CHAIN} views")


def follow_joined(view: GraphView, tensor: int, what: str) -> tuple[int, tuple[int, ...], int]:
    """Like `follow`, also where parts of the tensor go different ways and are joined again.

    Raises:
      NoMatchError: more than one operator computes with them.
    """
    passed: set[int] = set()
    ends: set[tuple[int, int]] = set()
    pending = [tensor]
    while pending:
        at = pending.pop()
        if at in view.graph.outputs or len(passed) > MAX_CHAIN:
            raise NoMatchError(f"{what} is an output of the graph, or passes too many views")
        for op in view.consumers(at):
            if not _moves(view, op):
                ends.add((at, op))
            elif op not in passed:
                passed.add(op)
                pending += view.op(op).outputs
    if len(ends) != 1:
        names = ", ".join(sorted(view.label(op) for _, op in ends)) or "nothing"
        raise NoMatchError(f"{what} is read by {names}, expected one operator")
    at, op = ends.pop()
    return at, tuple(sorted(passed)), op


def trace_joined(
    view: GraphView, tensor: int, stop: int | None = None, *, repeated: bool = False
) -> Trace:
    """Like `trace_back`, also through parts that are joined: a rolled grid is one.

    Args:
      repeated: through what repeats elements, too.

    Raises:
      NoMatchError: its elements come from several tensors.
    """
    ops: set[int] = set()
    ends: set[int] = set()
    pending = [tensor]
    while pending:
        at = pending.pop()
        op = view.producer(at)
        repeats = repeated and op is not None and view.op(op).opcode in BROADCASTS
        moves = op is not None and (repeats or _moves(view, op))
        if at == stop or op is None or not moves or len(ops) > MAX_CHAIN:
            ends.add(at)
        elif op not in ops:
            ops.add(op)
            pending += [i for i in view.op(op).inputs if i >= 0 and not view.is_constant(i)]
    if len(ends) != 1:
        raise NoMatchError(f"elements of {view.tensor(tensor).name!r} come from several tensors")
    base = ends.pop()
    numbers = np.arange(view.tensor(base).size, dtype=np.int64).reshape(view.tensor(base).shape)
    order = sorted(ops)
    same = {op for op in order if view.op(op).opcode in _CASTS}
    values: dict[int, NDArray[np.int64]] = {base: numbers}
    for op in order:
        given = {i: values[i] for i in view.op(op).inputs if i in values}
        for out in view.op(op).outputs:
            source = view.op(op).inputs[0]
            values[out] = values[source] if op in same else evaluate(view, [op], given, out)
    return Trace(base, values[tensor], 1.0, tuple(order))


def _moves(view: GraphView, op: int) -> bool:
    """Whether an operator moves elements of activations, of one or of several that it joins."""
    if view.op(op).opcode in JOINS:
        return not any(view.is_constant(i) for i in view.op(op).inputs)
    return passed_input(view, op) is not None


@dataclasses.dataclass(frozen=True, eq=False)
class HeadPlaces:
    """Where the features of heads stand in a [rows, width] tensor.

    Attributes:
      rows: int64 [groups, tokens]; a group is a head, of a window if there are several.
      columns: int64 [groups, features].
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def head_places(index: NDArray[np.int64], width: int, what: str) -> HeadPlaces:
    """Rows and columns of the elements [groups, tokens, features] of a [rows, width] tensor.

    Raises:
      NoMatchError: columns depend on the token, or features of one token stand in several rows.
    """
    rows, columns = index // width, index % width
    in_order = np.array_equal(
        rows[:, :, 0], np.broadcast_to(np.arange(rows.shape[1]), rows.shape[:2])
    )
    differ = bool(np.any(columns != columns[:, :1]))
    if np.any(rows != rows[:, :, :1]) or (differ and not in_order):
        raise NoMatchError(f"{what} mixes tokens")
    if differ:
        raise NoMatchError(f"{what} takes different features from different tokens")
    return HeadPlaces(rows[:, :, 0], columns[:, 0])
