# SPDX-License-Identifier: Apache-2.0
"""What only moves elements of constants is a constant.

Exporters of PyTorch leave a position bias as GATHER of a table by constant indices (LeViT, T5),
with RESHAPE and TRANSPOSE behind it; a bias on scores must be a constant to be fused.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import BROADCASTS, JOINS, VIEWS, evaluate, fused_activation
from converter.fuse.rewrite.building import same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Tensor

_MOVES = frozenset({*VIEWS, *JOINS, *BROADCASTS, "FILL"})
# How much larger than what it is made of (indices included) a constant may be: a position bias of
# all heads has four bytes of indices for a pair of tokens.
_TIMES, _GROWTH = 4, 1 << 16


def _sources(view: GraphView, op: int) -> tuple[int, ...]:
    """The inputs that elements are taken from."""
    operator = view.op(op)
    if operator.opcode in JOINS:
        return operator.inputs
    return (operator.inputs[1 if operator.opcode in ("SPLIT", "FILL") else 0],)


def _result(view: GraphView, op: int, tensor: int) -> Tensor | None:
    operator = view.op(op)
    known = {i: data for i in operator.inputs if (data := view.tensor(i).data) is not None}
    t = view.tensor(tensor)
    try:
        data = evaluate(view, [op], dict(known), tensor)
    except NoMatchError:
        return None
    if data.shape != t.shape or data.dtype != t.dtype:
        return None
    return dataclasses.replace(t, data=np.ascontiguousarray(data))


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    outputs = operator.outputs
    if not all(i >= 0 and view.is_constant(i) for i in operator.inputs):
        return None
    if any(t in view.graph.outputs for t in outputs) or fused_activation(operator) != "NONE":
        return None
    sources = [view.tensor(i) for i in _sources(view, op)]
    if not all(same_type(s, view.tensor(t)) for s in sources for t in outputs):
        return None
    made_of = sum(view.tensor(i).nbytes for i in set(operator.inputs))
    if sum(view.tensor(t).nbytes for t in outputs) > _TIMES * made_of + _GROWTH:
        return None
    results = [_result(view, op, t) for t in outputs]
    made = tuple(r for r in results if r is not None)
    if len(made) != len(outputs):
        return None
    first = len(view.graph.tensors)
    return Edit((op,), tensors=made, renamed={t: first + i for i, t in enumerate(outputs)})


RULE = Rule(
    "constant_moves",
    "makes a constant of RESHAPE, TRANSPOSE, GATHER, CONCATENATION, FILL ... of constants",
    _MOVES,
    _apply,
    everywhere=True,
)
