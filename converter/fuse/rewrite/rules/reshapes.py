# SPDX-License-Identifier: Apache-2.0
"""EXPAND_DIMS and SQUEEZE of a mask are RESHAPE, which TensorFlow Lite Micro has for every type."""

from __future__ import annotations

from converter.fuse.rewrite.building import Builder, same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

_EVERYWHERE = ("int8", "int16", "float32")  # types of TensorFlow Lite Micro's EXPAND_DIMS


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    x, y = view.tensor(operator.inputs[0]), view.tensor(operator.outputs[0])
    if x.dtype.name in _EVERYWHERE or not same_type(x, y):
        return None
    b = Builder(view)
    b.reshape(operator.inputs[0], y.shape, operator.outputs[0])
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "reshapes",
    "writes EXPAND_DIMS and SQUEEZE of bool, int32 ... as RESHAPE",
    frozenset({"EXPAND_DIMS", "SQUEEZE"}),
    _apply,
)
