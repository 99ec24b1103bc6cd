# SPDX-License-Identifier: Apache-2.0
"""Attention over a single key: its probability is 1, so that each query gets the value.

MobileViT on small images has one token in each group of its last stage; a query for one pooled
token is another. PyTorch's softmax is taken apart, and its sum over one key is left out.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.op_semantics import BROADCASTS, VIEWS
from converter.fuse.rewrite.building import Builder, same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

_KEEP = frozenset({*VIEWS, *BROADCASTS, "QUANTIZE", "DEQUANTIZE"}) - {"GATHER", "GATHER_ND"}
_LONGEST = 8


def _is_one(view: GraphView, tensor: int) -> bool:
    """Whether a tensor holds probabilities of single keys."""
    for _ in range(_LONGEST):
        op = view.producer(tensor)
        if op is None:
            return False
        operator = view.op(op)
        if operator.opcode == "SOFTMAX":
            return view.tensor(operator.inputs[0]).shape[-1:] == (1,)
        if operator.opcode == "DIV":
            return len(set(operator.inputs)) == 1 and _is_exponential(view, operator.inputs[0])
        if operator.opcode not in _KEEP:
            return False
        tensor = operator.inputs[1 if operator.opcode == "SPLIT" else 0]
    return False


def _is_exponential(view: GraphView, tensor: int) -> bool:
    """Of a difference: scores less their largest one, which is 0 for one key."""
    for opcode in ("EXP", "SUB"):
        op = view.producer(tensor)
        if op is None or view.op(op).opcode != opcode:
            return False
        tensor = view.op(op).inputs[0]
    return True


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    probabilities, values = operator.inputs
    (y,) = operator.outputs
    keys = view.tensor(probabilities).shape[-2 if operator.options.adjX else -1]
    if keys != 1 or view.is_constant(values) or not _is_one(view, probabilities):
        return None
    v, result = view.tensor(values), view.tensor(y)
    b = Builder(view)
    last = values
    if v.size != result.size:
        width = v.shape[-2 if operator.options.adjY else -1]
        last = b.reshape(last, (*v.shape[:-2], 1, width))
        wide = b.like(last, result.shape, f"{result.name}/broadcast")
        shape = b.constant(np.array(result.shape, np.int32), "shape")
        b.op("BROADCAST_TO", [last, shape], [wide], "BroadcastToOptions", version=2)
        last = wide
    if same_type(v, result):
        b.reshape(last, result.shape, y)
    else:
        last = b.reshape(last, result.shape)
        b.op("QUANTIZE", [last], [y], "QuantizeOptions")
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "single_key",
    "gives each query the value where there is one key: softmax over one score is 1",
    frozenset({"BATCH_MATMUL"}),
    _apply,
)
