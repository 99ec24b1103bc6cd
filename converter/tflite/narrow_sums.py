# SPDX-License-Identifier: Apache-2.0
"""Products of sums that reach few steps of their type.

TensorFlow's quantizer hands the range of a mask of -1e9 back to what it is made of: 1 - mask is 0
or 1 in steps of 3,921,568, and -1e9 times it has a factor that 255 steps would overflow. It has
none but 0: kernels compute that, and the fuser gives the mask its steps again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from converter.tflite.model import Graph, Operator, Tensor
from converter.tflite.quantization_rules import Operands
from converter.tflite.rescaling_rules import product

Range = tuple[float, float]

_STEPS = 255  # that the rule takes every operand to have


def real_range(t: Tensor) -> Range:
    """The least and the largest real value that an int8 tensor holds."""
    if t.is_constant:
        return float(t.real().min()), float(t.real().max())
    low, high = ((end - t.zero_point) * t.scale for end in (-128, 127))
    return low, high


def reachable(opcode: str, a: Range, c: Range) -> Range:
    """What ADD, SUB or MUL of numbers of two ranges can be."""
    if opcode == "ADD":
        return a[0] + c[0], a[1] + c[1]
    if opcode == "SUB":
        return a[0] - c[1], a[1] - c[0]
    products = [x * y for x in a for y in c]
    return min(products), max(products)


def with_narrow_stand_ins(graph: Graph) -> Graph:
    """For the check of forms: products read such sums in the steps that they have."""
    tensors, operators = list(graph.tensors), list(graph.operators)
    writer: dict[int, Operator] | None = None
    for index, op in enumerate(operators):
        if op.opcode != "MUL" or not _is_int8(graph, op):
            continue
        ends = Operands(
            tuple(tensors[i] for i in op.inputs), tuple(tensors[i] for i in op.outputs), op.options
        )
        if product(ends) is None:
            continue
        if writer is None:
            writer = {t: o for o in graph.operators for t in o.outputs}
        for place, i in enumerate(op.inputs):
            if (narrow := _narrow(graph, writer, i)) is not None:
                tensors.append(narrow)
                inputs = [*operators[index].inputs]
                inputs[place] = len(tensors) - 1
                operators[index] = dataclasses.replace(operators[index], inputs=tuple(inputs))
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _narrow(graph: Graph, writer: Mapping[int, Operator], tensor: int) -> Tensor | None:
    """The tensor in a scale by which 255 steps are those that its sum can have; None for others."""
    op, t = writer.get(tensor), graph.tensors[tensor]
    if op is None or t.quantization is None or op.opcode not in ("ADD", "SUB"):
        return None
    if not _is_int8(graph, op):
        return None
    a, c = (real_range(graph.tensors[i]) for i in op.inputs)
    most = max(abs(end) for end in reachable(op.opcode, a, c)) / t.scale
    if not most < _STEPS:
        return None
    steps = math.ceil(most) if most > 0.5 else 0
    scale = np.array([t.scale * max(steps, 1) / _STEPS], np.float32)
    q = dataclasses.replace(t.quantization, scale=scale)
    return dataclasses.replace(t, quantization=q)


def _is_int8(graph: Graph, op: Operator) -> bool:
    if len(op.inputs) != 2 or len(op.outputs) != 1 or min(op.inputs) < 0:
        return False
    ends = [graph.tensors[i] for i in (*op.inputs, *op.outputs)]
    return all(
        t.dtype == np.int8 and t.quantization is not None and len(t.quantization.scale) == 1
        for t in ends
    )
