# SPDX-License-Identifier: Apache-2.0
"""What is computed from constants alone is a constant: the integers that the runtime would compute.

Keras' MultiHeadAttention joins its causal mask with one of ones (LOGICAL_AND); latent tokens
(Perceiver) go through a LayerNorm and a projection before they meet the image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.builtins import SUPPORTED
from converter.fuse.kernel_values import kernel_results
from converter.fuse.op_semantics import BROADCASTS, JOINS, POINTWISE, VIEWS
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

# Moves have a rule of their own, which keeps real numbers too.
_COMPUTED = frozenset({*SUPPORTED, *POINTWISE}) - {*VIEWS, *JOINS, *BROADCASTS}
_GROWTH = 1 << 16  # bytes by which a result may be larger than what it is made of


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    outputs = operator.outputs
    inputs = [view.tensor(i) for i in operator.inputs if i >= 0]
    if not inputs or not all(t.is_constant for t in inputs):
        return None
    if any(t in view.graph.outputs for t in outputs) or _is_operand(view, op):
        return None
    if sum(view.tensor(t).nbytes for t in outputs) > sum(t.nbytes for t in inputs) + _GROWTH:
        return None
    results = kernel_results(view, op, {})
    if results is None:
        return None
    made = tuple(
        dataclasses.replace(view.tensor(t), data=np.ascontiguousarray(y))
        for t, y in zip(outputs, results, strict=True)
    )
    first = len(view.graph.tensors)
    return Edit((op,), tensors=made, renamed={t: first + i for i, t in enumerate(outputs)})


def _is_operand(view: GraphView, op: int) -> bool:
    """Whether integers stand before products in float alone: an attention core reads them."""
    readers = view.consumers(view.op(op).outputs[0])
    products = all(view.op(reader).opcode == "BATCH_MATMUL" for reader in readers)
    return view.op(op).opcode == "DEQUANTIZE" and bool(readers) and products


RULE = Rule(
    "constant_results",
    "computes what depends on constants alone, in the integers of the operators",
    _COMPUTED,
    _apply,
    on_integers=True,
)
