# SPDX-License-Identifier: Apache-2.0
"""Which float tensors become int8, and where their ranges come from.

The operators are visited in order. A float tensor is *known* if it holds integers: a DEQUANTIZE
made it, or it is cut. Operators that have an integer form, of known operands, give a tensor that
is cut, unless it goes into QUANTIZE alone, which is its integers. A function of one known tensor is
followed on the numbers that this can hold, and cut where something else reads it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.islands.composites import Composite, composites
from converter.fuse.islands.intervals import BOUNDED, SCALED, RealInterval
from converter.fuse.op_semantics import (
    JOINS,
    POINTWISE,
    Array,
    apply_activation,
    evaluate,
)
from converter.fuse.rewrite.building import is_int8
from converter.fuse.rewrite.rules.constant_factor import is_foldable
from converter.fuse.rewrite.rules.dequantize_moves import MOVES, moved_input
from converter.fuse.rewrite.rules.float_arithmetic import VALUES
from converter.fuse.rewrite.rules.float_layers import LAYER, float_layer
from converter.tflite import GraphView, Operator

_CASTS = ("QUANTIZE", "DEQUANTIZE")
_FUNCTIONS = frozenset(POINTWISE) - {*_CASTS}
_PROBABILITIES = RealInterval(0.0, 255 / 256)
# Of a function between bounds, whose least value may lie between two codes: that of SiLU by 0.001.
_POINTS = 1 << 16


class RangeSource(enum.Enum):
    """Where a range comes from."""

    QUANTIZE = "of a QUANTIZE that reads the tensor"
    EXACT = "the numbers that the tensor can be"
    SEEN = "seen on inputs that were given"
    BOUND = "a bound"


@dataclasses.dataclass(frozen=True)
class Cut:
    """A float tensor that becomes int8.

    Attributes:
      interval: the real numbers that the integers are for.
      quantize: the operator whose type it takes; None makes one of the interval.
    """

    tensor: int
    interval: RealInterval
    source: RangeSource
    quantize: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Cuts:
    """What becomes of a graph's float islands.

    Attributes:
      cuts: in the order in which the graph makes the tensors.
      constants: (operator, input) whose float constant is rounded to 8 bits.
      operands: the same, where a fused operator is to read the integers.
      unbounded: operators whose result has no range without data.
    """

    cuts: tuple[Cut, ...]
    constants: tuple[tuple[int, int], ...]
    operands: tuple[tuple[int, int], ...]
    unbounded: tuple[int, ...]


def find_cuts(view: GraphView, seen: Mapping[int, RealInterval] | None = None) -> Cuts:
    """The tensors that become int8.

    Args:
      view: a graph in normal form.
      seen: ranges of float tensors on inputs that the user gave.
    """
    walk = _Walk(view, seen)
    for op in range(len(view.graph.operators)):
        walk.visit(op)
    for tensor in view.graph.outputs:
        walk.need(tensor)
    order = sorted(walk.cuts.values(), key=lambda c: view.producer(c.tensor) or 0)
    return Cuts(tuple(order), tuple(walk.constants), tuple(walk.operands), tuple(walk.unbounded))


@dataclasses.dataclass(frozen=True, eq=False)
class _Curve:
    """A function of one known tensor: its values at the numbers which that can hold, or at many
    between its bounds."""

    base: int
    values: Array
    source: RangeSource


class _Walk:
    def __init__(self, view: GraphView, seen: Mapping[int, RealInterval] | None) -> None:
        self._view = view
        self._seen = seen
        self._known: dict[int, RealInterval] = {}
        self._curves: dict[int, _Curve] = {}
        self.cuts: dict[int, Cut] = {}
        self.constants: list[tuple[int, int]] = []
        self.operands: list[tuple[int, int]] = []
        self.unbounded: list[int] = []
        parts = composites(view)
        self._ends = {view.producer(part.y): part for part in parts}
        self._inside = {op for part in parts for op in part.ops}

    def visit(self, op: int) -> None:
        """Says what the operator's float results are."""
        operator, view = self._view.op(op), self._view
        if operator.opcode == "DEQUANTIZE":
            source = view.tensor(operator.inputs[0])
            if is_int8(source) and not source.is_constant:
                self._known[operator.outputs[0]] = RealInterval.of_type(source)
            return
        if op in self._ends:
            self._end(self._ends[op])
        elif op in self._inside or view.tensor(operator.outputs[0]).dtype != np.float32:
            return
        elif operator.opcode in MOVES:
            self._move(op)
        elif operator.opcode == LAYER:
            self._layer(op)
        elif not self._function(op):
            self._arithmetic(op)
        elif self._goes_to_several_types(operator.outputs[0]):
            self.need(operator.outputs[0])

    def need(self, tensor: int) -> bool:
        """Whether the tensor holds integers; a function of some is cut here if it does not."""
        if tensor in self._known or is_int8(self._view.tensor(tensor)):
            return True
        curve = self._curves.get(tensor)
        interval = None if curve is None else RealInterval.of(curve.values)
        if curve is None or interval is None:
            return False
        producer = self._view.producer(tensor)
        assert producer is not None
        return self._result(producer, tensor, interval, curve.source)

    def _goes_to_several_types(self, tensor: int) -> bool:
        """Whether several QUANTIZE read a tensor, and nothing else."""
        readers = self._view.consumers(tensor)
        return len(readers) > 1 and all(self._view.op(r).opcode == "QUANTIZE" for r in readers)

    def _needs(self, tensors: Iterable[int]) -> bool:
        """Whether all of them hold integers, constants aside; each is looked at."""
        known = [self._view.is_constant(tensor) or self.need(tensor) for tensor in tensors]
        return all(known)

    # ---- kinds of operators ------------------------------------------------------------------

    def _end(self, part: Composite) -> None:
        if not self._needs(part.inputs):
            return
        self.operands += part.constants
        if self._view.tensor(part.y).dtype == np.float32:
            producer = self._view.producer(part.y)
            assert producer is not None
            interval, source = part.interval, RangeSource.BOUND
            if part.mean_of is not None and part.mean_of in self._known:
                interval, source = self._known[part.mean_of].scaled(part.factor), RangeSource.EXACT
            self._result(producer, part.y, interval, source)

    def _move(self, op: int) -> None:
        operator = self._view.op(op)
        source = operator.inputs[moved_input(operator)]
        if self.need(source):
            for tensor in operator.outputs:
                self._known[tensor] = self._known[source]

    def _function(self, op: int) -> bool:
        """Whether the operator continues a function of one tensor."""
        operator, view = self._view.op(op), self._view
        if operator.opcode not in _FUNCTIONS or len(operator.outputs) != 1:
            return False
        activations = {i for i in operator.inputs if not view.is_constant(i)}
        if any(view.tensor(i).size != 1 for i in operator.inputs if view.is_constant(i)):
            return False
        (y,) = operator.outputs
        curves = [self._curve(i) for i in activations]
        first = curves[0] if curves else None
        if first is None or any(c is None or c.base != first.base for c in curves):
            return False
        if any(view.tensor(i).shape != view.tensor(y).shape for i in activations):
            return False
        given = {i: c.values for i, c in zip(activations, curves, strict=True) if c is not None}
        with np.errstate(all="ignore"):
            try:
                values = evaluate(view, [op], given, y, flat=True)
            except (NoMatchError, ValueError):
                return False
        self._curves[y] = _Curve(first.base, values, first.source)
        return True

    def _layer(self, op: int) -> None:
        """What is behind a layer up to its QUANTIZE needs no scale."""
        layer = float_layer(self._view, op)
        if layer is not None and self._needs(self._view.op(op).inputs[:1]):
            self._inside.update(layer.ops)

    def _arithmetic(self, op: int) -> None:
        operator, view = self._view.op(op), self._view
        joins = operator.opcode in JOINS
        count = len(operator.inputs) if joins else VALUES.get(operator.opcode, 0)
        values = operator.inputs[:count]
        if not count or len(operator.outputs) != 1:
            return
        if not self._needs(values):
            return
        constants = [k for k, i in enumerate(values) if view.is_constant(i)]
        intervals = [self._interval(i) for i in values]
        if any(i is None for i in intervals) or len(constants) == count:
            return
        y = operator.outputs[0]
        if operator.opcode == "SOFTMAX":
            self._result(op, y, _PROBABILITIES, RangeSource.EXACT)
            return
        table = BOUNDED | SCALED if constants else BOUNDED
        bound = table.get(operator.opcode)
        known = [i for i in intervals if i is not None]
        interval = None if bound is None else _activated(operator, bound(operator, known))
        if self._result(op, y, interval) and not joins and not is_foldable(view, op):
            self.constants += [(op, k) for k in constants]

    # ---- results -----------------------------------------------------------------------------

    def _result(
        self, op: int, y: int, bound: RealInterval | None, source: RangeSource = RangeSource.BOUND
    ) -> bool:
        """Cuts a result where something but QUANTIZE reads it; whether it holds integers then."""
        view = self._view
        readers = view.consumers(y)
        casts = [r for r in readers if view.op(r).opcode == "QUANTIZE"]
        good = [r for r in casts if is_int8(view.tensor(view.op(r).outputs[0]))]
        if len(readers) == len(good) == 1 and y not in view.graph.outputs:
            return True
        if good:
            best = max(good, key=lambda r: view.tensor(view.op(r).outputs[0]).scale)
            interval = RealInterval.of_type(view.tensor(view.op(best).outputs[0]))
            self._cut(y, interval, RangeSource.QUANTIZE, best)
            return True
        if source is RangeSource.BOUND and self._seen is not None and y in self._seen:
            self._cut(y, self._seen[y], RangeSource.SEEN)
            return True
        if bound is None:
            self.unbounded.append(op)
            return False
        self._cut(y, bound, source)
        return True

    def _cut(
        self, tensor: int, interval: RealInterval, source: RangeSource, quantize: int | None = None
    ) -> None:
        self.cuts[tensor] = Cut(tensor, interval, source, quantize)
        self._known[tensor] = interval

    def _interval(self, tensor: int) -> RealInterval | None:
        data = self._view.tensor(tensor).data
        return self._known.get(tensor) if data is None else RealInterval.of(data)

    def _curve(self, tensor: int) -> _Curve | None:
        """The function that a tensor is: of itself where it is known."""
        if tensor in self._curves and tensor not in self._known:
            return self._curves[tensor]
        if tensor not in self._known:
            return None
        i, cut = self._known[tensor].with_zero(), self.cuts.get(tensor)
        if cut is not None and cut.source is RangeSource.BOUND:
            return _Curve(tensor, np.linspace(i.low, i.high, _POINTS), RangeSource.BOUND)
        return _Curve(tensor, np.linspace(i.low, i.high, 256), RangeSource.EXACT)


def _activated(operator: Operator, interval: RealInterval) -> RealInterval:
    """Behind the activation that is fused into the operator."""
    ends = apply_activation(operator, np.array([interval.low, interval.high]))
    return RealInterval(float(ends.min()), float(ends.max()))
