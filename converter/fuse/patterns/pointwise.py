# SPDX-License-Identifier: Apache-2.0
"""Functions of one element: GELU as one operator, as its tanh or sigmoid form, ReLU, ...

Whatever chain of pointwise operators lies between two tensors becomes one function of a number; it
is sampled, not recognised.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import (
    INDEX_TYPES,
    JUMPS,
    NONLINEAR,
    POINTWISE,
    RESHAPES,
    evaluate,
    fused_activation,
)
from converter.fuse.patterns.linear import require_int8
from converter.fuse.patterns.match import OneInput
from converter.fuse.region import between, check_closed, frontier
from converter.tflite import GraphView

_MAX_STEPS = 16

ALLOWED = frozenset({*POINTWISE, *RESHAPES})


@dataclasses.dataclass(frozen=True, eq=False)
class PointwiseMatch(OneInput):
    """y = function(x) element by element.

    Attributes:
      x, y: tensor indices, int8.
      values: float64 [256], the function at the real value of each int8 number -128..127 of x.
      nonlinear: whether an activation function is among the operators.
      ops: operators from x to y; empty if x is y.
    """

    READS_STREAM: ClassVar[bool] = False
    WRITES_STREAM: ClassVar[bool] = False

    x: int
    y: int
    values: NDArray[np.float64]
    nonlinear: bool
    ops: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Tensors inside that the fused operator has: a table has none."""
        return ()


def match_pointwise(view: GraphView, x: int, y: int) -> PointwiseMatch:
    """The function between two int8 tensors.

    Raises:
      NoMatchError: something other than pointwise operators and single constants is involved, or
        the first of the tensors is in float.
    """
    ops = between(view, x, y, ALLOWED, "the activation function")
    for op in ops:
        for i in view.op(op).inputs:
            is_shape = view.op(op).opcode in RESHAPES
            if view.is_constant(i) and view.tensor(i).size != 1 and not is_shape:
                raise NoMatchError(f"{view.label(op)} has a constant per channel")
    source = require_int8(view, x, "the activation function's input")
    reals = source.scale * (np.arange(-128, 128, dtype=np.float64) - source.zero_point)
    jumps = any(view.op(op).opcode in JUMPS for op in ops)
    with np.errstate(all="ignore"):
        values = evaluate(view, ops, {x: reals}, y, flat=True, single=jumps)
    if np.any(np.isnan(values)):  # infinities, as of 1 / 0, saturate
        raise NoMatchError("the activation function is not defined on all of its input's range")
    bends = any(bends_at(view, op) or fused_activation(view.op(op)) != "NONE" for op in ops)
    return PointwiseMatch(x, y, values, bends, ops)


def bends_at(view: GraphView, op: int) -> bool:
    """Whether an operator on values of the network (not on indices) is an activation function."""
    operator = view.op(op)
    if not operator.outputs or view.tensor(operator.outputs[0]).dtype in INDEX_TYPES:
        return False
    reciprocal = operator.opcode == "DIV" and view.is_constant(operator.inputs[0])
    return operator.opcode in NONLINEAR or reciprocal


def starts_activation(view: GraphView, op: int) -> bool:
    """The same, but for the larger or smaller of two tensors, which is no function of one number:
    places of extremes are computed so (`converter.fuse.rewrite.rules.first_extreme`)."""
    if not bends_at(view, op):
        return False
    operator = view.op(op)
    if operator.opcode not in ("MAXIMUM", "MINIMUM"):
        return True
    constants = [view.tensor(i) for i in operator.inputs if view.is_constant(i)]
    if constants:
        return all(t.size == 1 for t in constants)
    return len(frontier(view, operator.outputs[0], ALLOWED)) == 1


def pointwise_source(view: GraphView, y: int, what: str) -> int:
    """The one activation that `y` is a pointwise function of (`y` itself if nothing precedes).

    Raises:
      NoMatchError: it is a function of several.
    """
    ends = frontier(view, y, ALLOWED)
    if len(ends) != 1:
        names = sorted(view.label(p) for p in (view.producer(e) for e in ends) if p is not None)
        raise NoMatchError(f"{what} is a function of several tensors ({', '.join(names)})")
    return ends.pop()


def match_activation(view: GraphView, anchor: int) -> PointwiseMatch:
    """The longest function of one int8 tensor through a nonlinear operator.

    Raises:
      NoMatchError: with the reason.
    """
    best: PointwiseMatch | None = None
    reason = ""
    for y in _integers(view, _behind(view, anchor)):
        for x in _integers(view, _before(view, anchor, y)):
            if view.tensor(x).shape != view.tensor(y).shape:
                continue  # a RESHAPE at an end is not part of the function
            try:
                require_int8(view, x, "the activation function's input")
                require_int8(view, y, "the activation function's output")
                found = _without_shared(view, match_pointwise(view, x, y))
                check_closed(view, found.ops, {y})
            except NoMatchError as error:
                reason = reason or str(error)
                continue
            if best is None or len(found.ops) > len(best.ops):
                best = found
    if best is None:
        raise NoMatchError(reason or "the activation function changes its tensor's shape")
    return best


def _without_shared(view: GraphView, found: PointwiseMatch) -> PointwiseMatch:
    """Without the DEQUANTIZE of x that others read too: it stays for them."""
    ops = tuple(
        op
        for op in found.ops
        if view.op(op).opcode != "DEQUANTIZE"
        or view.op(op).inputs[0] != found.x
        or set(view.consumers(view.op(op).outputs[0])) <= set(found.ops)
    )
    return found if ops == found.ops else dataclasses.replace(found, ops=ops)


def _integers(view: GraphView, tensors: list[int]) -> list[int]:
    """Those that are no float tensors of an island between DEQUANTIZE and QUANTIZE, if any are."""
    return [t for t in tensors if view.tensor(t).dtype != np.float32] or tensors


def _behind(view: GraphView, anchor: int) -> list[int]:
    """Results of the anchor and of the pointwise operators that follow it, nearest first."""
    found: list[int] = []
    pending = [view.op(anchor).outputs[0]]
    while pending and len(found) < _MAX_STEPS:
        tensor = pending.pop(0)
        if tensor in found:
            continue
        found.append(tensor)
        for op in view.consumers(tensor):
            if view.op(op).opcode in POINTWISE:
                pending += view.op(op).outputs
    return found


def _before(view: GraphView, anchor: int, y: int) -> list[int]:
    """Candidates for x: the one tensor that `y` depends on, and what the anchor reads."""
    ends = frontier(view, y, ALLOWED)
    near = [i for i in view.op(anchor).inputs if i >= 0 and not view.is_constant(i)]
    integers = [view.op(p).inputs[0] for i in near if (p := _dequantize(view, i)) is not None]
    return list(dict.fromkeys([*(ends if len(ends) == 1 else ()), *integers, *near]))


def _dequantize(view: GraphView, tensor: int) -> int | None:
    """The DEQUANTIZE that makes it: a function of floats is one of the integers before it."""
    producer = view.producer(tensor)
    return producer if producer is not None and view.op(producer).opcode == "DEQUANTIZE" else None
