# SPDX-License-Identifier: Apache-2.0
"""Builtin operators that carry an int16 stream where no fused operator does.

A sum of a stream and a branch that is not fused with it, tokens that are joined, their mean: in the
file these are float, and TFLM and the compiled runtime have them of int16. Between int8 operators
alone they stay int8, where 16 bits would be cut off again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Container, Sequence

from converter.builtins import BuiltinError, params_of
from converter.fuse.op_semantics import JOINS
from converter.fuse.patterns.match import Match
from converter.fuse.patterns.wide_linear import wide_layer
from converter.fuse.rewrite.building import is_int8
from converter.fuse.search import Found
from converter.fuse.wide import int16_of, retyped
from converter.tflite import GraphView, Tensor
from converter.tflite.operators import operator_fault

_MOVES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
# How many inputs are values; of JOINS all are.
_VALUES = {"ADD": 2, "SUB": 2, "MUL": 2, "MEAN": 1, **dict.fromkeys(_MOVES, 1)}


def values_of(view: GraphView, op: int) -> tuple[int, ...]:
    """The inputs of an operator that are values, not axes."""
    operator = view.op(op)
    return tuple(operator.inputs[: _VALUES.get(operator.opcode, len(operator.inputs))])


def ends_network(view: GraphView, op: int) -> bool:
    """Whether an operator is the DEQUANTIZE of a result of the network."""
    operator = view.op(op)
    return operator.opcode == "DEQUANTIZE" and operator.outputs[0] in view.graph.outputs


def find_carriers(
    view: GraphView, matches: Sequence[Match], widened: Container[int]
) -> frozenset[int]:
    """The builtin operators that are to read and write int16.

    Args:
      view: a graph in normal form.
      matches: what was found in it; a sum that is the end of an MLP core may be taken from it.
      widened: int8 tensors that the file has in float.
    """
    sums = _sums_of_cores(view, matches)
    inside = {op for m in matches for op in m.ops} - sums
    streams = _Streams.of(view, matches, widened)
    count = len(view.graph.operators)
    found = {op for op in range(count) if op not in inside and _has_form(view, op, widened)}
    while True:
        bound = sums | {op for op in found if view.op(op).outputs[0] not in widened}
        useless = {op for op in found if not _is_of_use(view, op, found, streams, op in bound)}
        if not useless:
            return frozenset(found)
        found -= useless


class _Streams:
    """Tensors that fused operators write and read as a stream.

    Attributes:
      written: those that are float in the file.
      given: these, and results of layers that can be int16.
    """

    def __init__(self, written: frozenset[int], given: frozenset[int], read: frozenset[int]):
        self.written, self.given, self.read = written, given, read

    @classmethod
    def of(cls, view: GraphView, matches: Sequence[Match], widened: Container[int]) -> _Streams:
        written = frozenset(m.y for m in matches if m.WRITES_STREAM and m.y in widened)
        layers = frozenset(m.y for m in matches if m.y in widened and wide_layer(view, m))
        read = frozenset(m.x for m in matches if m.READS_STREAM)
        return cls(written, written | layers, read)


def with_wide_layers(
    view: GraphView, found: Sequence[Found], widened: Container[int], carriers: Container[int]
) -> list[Found]:
    """Matches whose layers write int16 where a carrier reads what the file has in float."""
    result: list[Found] = []
    for f in found:
        y = f.match.y
        if y in widened and any(r in carriers for r in view.consumers(y)):
            f = dataclasses.replace(f, match=wide_layer(view, f.match) or f.match)
        result.append(f)
    return result


def _sums_of_cores(view: GraphView, matches: Sequence[Match]) -> frozenset[int]:
    """The last operator of each MLP without a norm that adds what it reads."""
    ends = (view.producer(m.y) for m in matches if m.ends_in_sum)
    return frozenset(op for op in ends if op is not None)


def _has_form(view: GraphView, op: int, widened: Container[int]) -> bool:
    """Whether a value is float in the file, and every runtime has the operator in int16."""
    operator = view.op(op)
    if operator.opcode not in _VALUES and operator.opcode not in JOINS:
        return False
    (y,) = operator.outputs
    values = values_of(view, op)
    if y in view.graph.outputs or not any(t in widened for t in (y, *values)):
        return False
    if not all(is_int8(view.tensor(t)) for t in (*values, y)):
        return False
    tensors: list[Tensor] = list(view.graph.tensors)
    for t in {*values, y}:
        tensors[t] = retyped(tensors[t], int16_of(tensors[t]))
    try:
        params_of(tensors, operator)
    except BuiltinError:
        return False
    return operator_fault(tensors, operator) is None


def _is_of_use(
    view: GraphView, op: int, found: Collection[int], streams: _Streams, must_read: bool
) -> bool:
    """Whether something beside the operator has 16 bits too.

    Args:
      must_read: whether that must be one of its values: it is taken from a fused operator, which
        adds in 32 bits, or its result is int8 in the file.
    """
    (y,) = view.op(op).outputs
    readers = view.consumers(y)
    read = y in streams.read or any(r in found for r in readers)
    values = values_of(view, op)
    made = any(view.producer(t) in found for t in values)
    if view.op(op).opcode in _MOVES:
        return read and (made or any(t in streams.given for t in values))
    given = made or any(t in streams.written for t in values)
    if given or must_read:
        return given
    return read or any(ends_network(view, r) for r in readers)
