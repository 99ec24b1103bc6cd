# SPDX-License-Identifier: Apache-2.0
"""CAST of quantized integers with a scale of 1 to float, then QUANTIZE, is QUANTIZE of integers."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Tensor

_RESCALED = (np.dtype(np.uint8), np.dtype(np.int8))


def _is_number(tensor: Tensor) -> bool:
    """Whether its integers are its real values."""
    q = tensor.quantization
    return q is not None and len(q.scale) == 1 and q.scale[0] == 1.0 and q.zero_point[0] == 0


def _apply(view: GraphView, op: int) -> Edit | None:
    middle, result = view.op(op).inputs[0], view.op(op).outputs[0]
    cast = view.producer(middle)
    if cast is None or view.op(cast).opcode != "CAST" or single_reader(view, middle) != op:
        return None
    source = view.op(cast).inputs[0]
    x, y = view.tensor(source), view.tensor(result)
    if view.tensor(middle).dtype != np.float32 or y.dtype != np.int8:
        return None
    if x.dtype not in _RESCALED or not _is_number(x):
        return None
    b = Builder(view)
    b.op("QUANTIZE", [source], [result], "QuantizeOptions")
    return Edit((cast, op), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "cast_quantize",
    "makes one QUANTIZE of a CAST of bytes to float and the QUANTIZE behind it",
    frozenset({"QUANTIZE"}),
    _apply,
)
