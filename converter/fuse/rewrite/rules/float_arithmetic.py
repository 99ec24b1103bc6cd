# SPDX-License-Identifier: Apache-2.0
"""A float operator between DEQUANTIZE and QUANTIZE becomes the integer operator of that name.

Sums, products and means of int8 tensors, each with a scale of its own, are what the int8 forms of
these operators compute, rounded once, as the QUANTIZE rounds.
"""

from __future__ import annotations

import dataclasses

from converter.fuse.rewrite.building import is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

# How many of the inputs, from the first, are values.
_VALUES = {"ADD": 2, "SUB": 2, "MUL": 2, "SQUARED_DIFFERENCE": 2, "BATCH_MATMUL": 2, "MEAN": 1}
# The least version whose operands may be int8 (TensorFlow Lite's op_version.cc).
_VERSIONS = {"ADD": 2, "SUB": 2, "MUL": 2, "SQUARED_DIFFERENCE": 2, "BATCH_MATMUL": 2, "MEAN": 2}


def _integers(view: GraphView, tensor: int) -> int | None:
    """The int8 tensor of which this one is the DEQUANTIZE."""
    op = view.producer(tensor)
    if op is None or view.op(op).opcode != "DEQUANTIZE":
        return None
    (source,) = view.op(op).inputs
    return source if is_int8(view.tensor(source)) else None


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    count = _VALUES[operator.opcode]
    sources = [_integers(view, i) for i in operator.inputs[:count]]
    cast = single_reader(view, operator.outputs[0])
    if cast is None or view.op(cast).opcode != "QUANTIZE":
        return None
    (result,) = view.op(cast).outputs
    integers = tuple(s for s in sources if s is not None)
    if len(integers) != count or not is_int8(view.tensor(result)):
        return None
    version = max(operator.version, _VERSIONS[operator.opcode])
    inputs = (*integers, *operator.inputs[count:])
    new = dataclasses.replace(operator, inputs=inputs, outputs=(result,), version=version)
    return Edit((op, cast), (new,))


RULE = Rule(
    "float_arithmetic",
    "makes ADD, SUB, MUL, SQUARED_DIFFERENCE, BATCH_MATMUL or MEAN in float, between DEQUANTIZE "
    "and QUANTIZE, the integer operator",
    frozenset(_VALUES),
    _apply,
    on_integers=True,
)
