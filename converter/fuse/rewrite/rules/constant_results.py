# SPDX-License-Identifier: Apache-2.0
"""What is computed from constants alone is a constant: the integers that the runtime would compute.

Keras' MultiHeadAttention joins its causal mask with one of ones (LOGICAL_AND); latent tokens
(Perceiver) go through a LayerNorm and a projection before they meet the image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.builtins import SUPPORTED, BuiltinError, run_builtin
from converter.fuse.op_semantics import BROADCASTS, JOINS, VIEWS
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

# Moves have a rule of their own, which keeps real numbers too.
_COMPUTED = frozenset(SUPPORTED) - {*VIEWS, *JOINS, *BROADCASTS}
_GROWTH = 1 << 16  # bytes by which a result may be larger than what it is made of


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    outputs = operator.outputs
    inputs = [view.tensor(i) for i in operator.inputs if i >= 0]
    if not inputs or not all(t.is_constant for t in inputs):
        return None
    if any(t in view.graph.outputs for t in outputs):
        return None
    if sum(view.tensor(t).nbytes for t in outputs) > sum(t.nbytes for t in inputs) + _GROWTH:
        return None
    try:
        results = run_builtin(view.graph.tensors, operator)
    except BuiltinError:
        return None
    made = tuple(
        dataclasses.replace(view.tensor(t), data=np.ascontiguousarray(y))
        for t, y in zip(outputs, results, strict=True)
    )
    first = len(view.graph.tensors)
    return Edit((op,), tensors=made, renamed={t: first + i for i, t in enumerate(outputs)})


RULE = Rule(
    "constant_results",
    "computes what depends on constants alone, in the integers of the operators",
    _COMPUTED,
    _apply,
    on_integers=True,
)
