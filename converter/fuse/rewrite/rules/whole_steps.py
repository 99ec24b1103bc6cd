# SPDX-License-Identifier: Apache-2.0
"""Indices that come as int8 whose steps are 1: to int32 without floating point.

A text of bytes is quantized with scale 1 around 128; DEQUANTIZE and CAST then change nothing.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

_INT32 = np.dtype(np.int32)


def _apply(view: GraphView, op: int) -> Edit | None:
    (real,), (y,) = view.op(op).inputs, view.op(op).outputs
    before = view.producer(real)
    if before is None or view.op(before).opcode != "DEQUANTIZE" or view.tensor(y).dtype != _INT32:
        return None
    x = view.tensor(view.op(before).inputs[0])
    if not is_int8(x) or (x.scale, x.zero_point) != (1.0, 0) or x.data is not None:
        return None
    if single_reader(view, real) != op:
        return None
    b = Builder(view)
    b.op("CAST", [view.op(before).inputs[0]], [y], "CastOptions")
    return Edit((before, op), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "whole_steps",
    "makes one CAST of the DEQUANTIZE of whole numbers and the CAST to int32 behind it",
    frozenset({"CAST"}),
    _apply,
)
