# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED whose weights are computed is a product of activations: BATCH_MATMUL."""

from __future__ import annotations

import numpy as np

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    x, w, y = (view.tensor(i) for i in (*operator.inputs[:2], operator.outputs[0]))
    if w.data is not None or len(w.shape) != 2 or fused_activation(operator) != "NONE":
        return None
    if not all(is_int8(t) for t in (x, w, y)):
        return None
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        bias = view.tensor(operator.inputs[2]).data
        if bias is None or np.any(bias):
            return None
    outputs, inputs = w.shape
    rows = x.size // inputs
    b = Builder(view)
    left = b.reshape(operator.inputs[0], (rows, inputs))
    direct = y.shape == (rows, outputs)
    product = (
        operator.outputs[0] if direct else b.like(operator.outputs[0], (rows, outputs), y.name)
    )
    operands = [left, operator.inputs[1]]
    b.op("BATCH_MATMUL", operands, [product], "BatchMatMulOptions", adjX=False, adjY=True)
    if not direct:
        b.reshape(product, y.shape, operator.outputs[0])
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "computed_weights",
    "turns a FULLY_CONNECTED with computed weights into a BATCH_MATMUL",
    frozenset({"FULLY_CONNECTED"}),
    _apply,
)
