# SPDX-License-Identifier: Apache-2.0
"""Operators whose result is their input: each element at its place, of the same type."""

from __future__ import annotations

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.layout import data_input
from converter.fuse.op_semantics import BROADCASTS, JOINS, VIEWS, evaluate, fused_activation
from converter.fuse.rewrite.building import same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

_PADS = frozenset({"PAD", "PADV2", "MIRROR_PAD"})
_RESIZES = frozenset({"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"})  # to the size that it has
_MOVES = frozenset({*VIEWS, *JOINS, *BROADCASTS})


def _moves_nothing(view: GraphView, op: int, source: int) -> bool:
    """Whether the operator leaves every element in its place (and its shape)."""
    operator = view.op(op)
    if operator.opcode == "QUANTIZE" or operator.opcode in _RESIZES:
        return True
    if operator.opcode in _PADS:
        paddings = view.tensor(operator.inputs[1]).data
        return paddings is not None and not np.any(paddings)
    numbers = np.arange(view.tensor(source).size).reshape(view.tensor(source).shape)
    result = operator.outputs[0]
    try:
        return np.array_equal(evaluate(view, [op], {source: numbers}, result), numbers)
    except NoMatchError:
        return False


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    source = data_input(view, op)
    if source is None or operator.inputs.count(source) != 1 or len(operator.outputs) != 1:
        return None
    x, y = view.tensor(source), view.tensor(operator.outputs[0])
    if x.shape != y.shape or not same_type(x, y) or x.is_variable or y.is_variable:
        return None
    if operator.options is not None and fused_activation(operator) != "NONE":
        return None
    if not _moves_nothing(view, op, source):
        return None
    result = operator.outputs[0]
    if result not in view.graph.outputs:
        return Edit((op,), renamed={result: source})
    if view.producer(source) is None or source in view.graph.outputs:
        return None  # an input of the graph that is also its output
    return Edit((op,), renamed={source: result})


RULE = Rule(
    "identity",
    "drops operators that leave every element in its place: RESHAPE to the same shape, TRANSPOSE, "
    "SLICE, SPLIT or CONCATENATION of everything, TILE once, PAD by nothing, "
    "RESIZE to the same size, QUANTIZE to one type",
    frozenset({*_MOVES, *_PADS, *_RESIZES, "QUANTIZE"}),
    _apply,
)
