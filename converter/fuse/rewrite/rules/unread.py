# SPDX-License-Identifier: Apache-2.0
"""What nobody reads is not computed.

`TFLiteConverter.from_keras_model` reshapes a layer's input once for the layer and once to ask for
its shape; when the batch is known the second has no reader, and a tensor with two readers is in
the way of every pattern.
"""

from __future__ import annotations

from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView
from converter.tflite.operator_table import TABLE


def _apply(view: GraphView, op: int) -> Edit | None:
    outputs = view.op(op).outputs
    read = any(view.consumers(t) or t in view.graph.outputs for t in outputs)
    stored = any(view.tensor(t).is_variable for t in (*view.op(op).inputs, *outputs) if t >= 0)
    return None if read or stored or not outputs else Edit((op,))


RULE = Rule(
    "unread",
    "drops operators whose results nothing reads",
    frozenset(TABLE),
    _apply,
)
