# SPDX-License-Identifier: Apache-2.0
"""Constant weights with a zero point become weights without one, where int8 holds them.

The TFLite quantization specification has symmetric int8 weights; other converters write weights
with a zero point, for all channels or for each. `scale * (q - zero_point)` is `scale * q'` with
other integers, so the rewriting is exact.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization

_LAYERS = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
_INT8 = np.iinfo(np.int8)


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    weights = view.tensor(operator.inputs[1])
    q = weights.quantization
    if weights.data is None or weights.dtype != np.int8 or q is None or not np.any(q.zero_point):
        return None
    centered = weights.data - q.along(weights.data.ndim)[1]
    if centered.min(initial=0) < _INT8.min or centered.max(initial=0) > _INT8.max:
        return None
    b = Builder(view)
    symmetric = Quantization(q.scale, np.zeros_like(q.zero_point), q.axis)
    new = b.constant(centered.astype(np.int8), weights.name, symmetric)
    inputs = (operator.inputs[0], new, *operator.inputs[2:])
    return Edit((op,), (dataclasses.replace(operator, inputs=inputs),), tuple(b.tensors))


RULE = Rule(
    "weight_zero_point",
    "moves the zero point of a layer's constant weights into the weights, where int8 holds them",
    _LAYERS,
    _apply,
)
