# SPDX-License-Identifier: Apache-2.0
"""A float operator between DEQUANTIZE and QUANTIZE becomes the integer operator of that name.

Sums, products and means of int8 tensors, each with a scale of its own, are what the int8 forms of
these operators compute, rounded once, as the QUANTIZE rounds. A float constant is an int8 tensor
too, if its numbers are multiples of one step that 8 bits count.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization

# How many of the inputs, from the first, are values.
VALUES = {
    "ADD": 2, "SUB": 2, "MUL": 2, "SQUARED_DIFFERENCE": 2, "BATCH_MATMUL": 2, "MEAN": 1,
    "SOFTMAX": 1,
}  # fmt: skip
# The least version whose operands may be int8, of all of them (TensorFlow Lite's op_version.cc).
_VERSION = 2
_LARGEST = 127  # of a constant's integers
_TOLERANCE = 1e-5  # of its largest number: float32 ends a little below


def _integers(b: Builder, tensor: int) -> int | None:
    """The tensor of which this one is the DEQUANTIZE, or a constant's integers.

    Integers of another type than the result's make an operator that the engine does not put in.
    """
    t = b.view.tensor(tensor)
    if t.data is not None:
        step = steps_of(t.data) if t.dtype == np.float32 else None
        if step is None:
            return None
        data = np.rint(t.data / step).astype(np.int8)
        return b.constant(data, f"{t.name}/int8", Quantization.per_tensor(step, 0))
    op = b.view.producer(tensor)
    if op is None or b.view.op(op).opcode != "DEQUANTIZE":
        return None
    (source,) = b.view.op(op).inputs
    return source


def steps_of(data: NDArray[np.float32]) -> float | None:
    """The step of which all numbers are multiples, -127 to 127 of them; None if there is none."""
    largest = float(np.max(np.abs(data), initial=0.0))
    if not 0.0 < largest < np.inf:
        return None
    step = largest / _LARGEST
    off = np.abs(np.rint(data / step) * step - data)
    return step if np.max(off) <= _TOLERANCE * largest else None


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    count = VALUES[operator.opcode]
    cast = single_reader(view, operator.outputs[0])
    if cast is None or view.op(cast).opcode != "QUANTIZE":
        return None
    (result,) = view.op(cast).outputs
    if not is_int8(view.tensor(result)) or all(map(view.is_constant, operator.inputs[:count])):
        return None
    b = Builder(view)
    sources = [_integers(b, i) for i in operator.inputs[:count]]
    integers = tuple(s for s in sources if s is not None)
    if len(integers) != count:
        return None
    version = max(operator.version, _VERSION)
    inputs = (*integers, *operator.inputs[count:])
    new = dataclasses.replace(operator, inputs=inputs, outputs=(result,), version=version)
    return Edit((op, cast), (new,), tuple(b.tensors))


RULE = Rule(
    "float_arithmetic",
    "makes ADD, SUB, MUL, SQUARED_DIFFERENCE, BATCH_MATMUL, MEAN or SOFTMAX in float, between "
    "DEQUANTIZE and QUANTIZE, the integer operator",
    frozenset(VALUES),
    _apply,
    on_integers=True,
)
