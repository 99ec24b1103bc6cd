# SPDX-License-Identifier: Apache-2.0
"""x - x is zero, whatever x is.

TensorFlow guards a logsumexp against infinity (Keras: a softmax over several axes) by comparing
x - x with 0. Calibration sees only zeros there and gives them the least scale there is: LiteRT runs
that, TFLM aborts, because the sum's multiplier leaves its range. The constant says the same.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.tflite.model import Graph, Operator, Tensor, TfliteError
from converter.tflite.quantization_rules import Operands, sum_fits


def without_self_differences(graph: Graph) -> Graph:
    """The graph with zeros, stored, in the place of every difference of a tensor with itself.

    Raises:
      TfliteError: one that no kernel computes is a result of the network.
    """
    zeros: dict[int, Tensor] = {}
    for index, op in enumerate(graph.operators):
        if not _is_self_difference(graph, op):
            continue
        y = graph.tensors[op.outputs[0]]
        if op.outputs[0] not in graph.outputs:
            zeros[op.outputs[0]] = dataclasses.replace(
                y, data=np.full(y.shape, y.zero_point, y.dtype)
            )
        elif (reason := _fault(graph, op)) is not None:
            raise TfliteError(f"operator {index} ({op.name}): {reason}")
    if not zeros:
        return graph
    tensors = tuple(zeros.get(i, t) for i, t in enumerate(graph.tensors))
    kept = tuple(op for op in graph.operators if zeros.keys().isdisjoint(op.outputs))
    return dataclasses.replace(graph, tensors=tensors, operators=kept)


def _is_self_difference(graph: Graph, op: Operator) -> bool:
    if op.opcode != "SUB" or op.inputs[0] != op.inputs[1]:
        return False
    y = graph.tensors[op.outputs[0]]
    return y.dtype.kind in "iu" and y.quantization is not None and len(y.quantization.scale) == 1


def _fault(graph: Graph, op: Operator) -> str | None:
    inputs, outputs = (tuple(graph.tensors[i] for i in ends) for ends in (op.inputs, op.outputs))
    return sum_fits(Operands(inputs, outputs, op.options))
