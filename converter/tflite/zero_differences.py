# SPDX-License-Identifier: Apache-2.0
"""x - x is zero, whatever x is; so is x less its own maximum over one element.

TensorFlow guards a logsumexp against infinity (Keras: a softmax over several axes) by comparing
x - x with 0. A softmax or a norm over one token or feature takes the only value from itself.
Calibration sees only zeros there and gives them the least scale there is: LiteRT runs that, TFLM
aborts, because the sum's multiplier leaves its range. The constant says the same, bit for bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from converter.tflite.model import Graph, Operator, Tensor, TfliteError
from converter.tflite.quantization_rules import Operands, differs, squares_fit, sum_fits

_FITS = {"SUB": sum_fits, "SQUARED_DIFFERENCE": squares_fit}
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_CASTS = ("QUANTIZE", "DEQUANTIZE")
_LIMITS = ("MAXIMUM", "MINIMUM")  # with the least, or the largest, number of the type
_OF_ONE = ("REDUCE_MAX", "REDUCE_MIN", "MEAN", "SUM", "REDUCE_PROD")  # of one element: itself


def with_stand_ins(graph: Graph) -> Graph:
    """For the check of forms: such differences write tensors in their operands' scale."""
    found = _zero_differences(graph)
    tensors, operators = list(graph.tensors), list(graph.operators)
    for index in found:
        op = operators[index]
        x, y = (tensors[i] for i in (op.inputs[0], op.outputs[0]))
        tensors.append(dataclasses.replace(y, quantization=x.quantization))
        operators[index] = dataclasses.replace(op, outputs=(len(tensors) - 1,))
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def with_zeros_stored(graph: Graph) -> Graph:
    """The graph with zeros, stored, in the place of every difference of a tensor with itself.

    Raises:
      TfliteError: one that no kernel computes is a result of the network.
    """
    found = [
        index
        for index in _zero_differences(graph)
        if graph.operators[index].outputs[0] not in graph.outputs
    ]
    for index, op in enumerate(graph.operators):
        if index not in found and (reason := _fault(graph, op)) is not None:
            raise TfliteError(f"operator {index} ({op.name}): {reason}")
    if not found:
        return graph
    tensors = list(graph.tensors)
    for index in found:
        i = graph.operators[index].outputs[0]
        y = tensors[i]
        tensors[i] = dataclasses.replace(y, data=np.full(y.shape, y.zero_point, y.dtype))
    kept = tuple(op for index, op in enumerate(graph.operators) if index not in found)
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=kept)


def _zero_differences(graph: Graph) -> list[int]:
    """The operators whose two operands are the same numbers, element by element."""
    candidates = [i for i, op in enumerate(graph.operators) if _is_candidate(graph, op)]
    if not candidates:
        return []
    writer = {t: op for op in graph.operators for t in op.outputs}
    return [i for i in candidates if _is_zero(graph, writer, graph.operators[i])]


def _is_candidate(graph: Graph, op: Operator) -> bool:
    if op.opcode not in _FITS or len(op.inputs) != 2 or len(op.outputs) != 1 or min(op.inputs) < 0:
        return False
    ends = [graph.tensors[i] for i in (*op.inputs, *op.outputs)]
    return all(_is_quantized(t) and t.size == ends[2].size for t in ends)


def _is_quantized(t: Tensor) -> bool:
    return t.dtype.kind in "iu" and t.quantization is not None and len(t.quantization.scale) == 1


def _is_zero(graph: Graph, writer: Mapping[int, Operator], op: Operator) -> bool:
    """Whether both operands go back to one tensor on ways that keep its integers."""
    a, b = op.inputs
    if differs(graph.tensors[a].quantization, graph.tensors[b].quantization):
        return False
    return not _origins(graph, writer, a).isdisjoint(_origins(graph, writer, b))


def _origins(graph: Graph, writer: Mapping[int, Operator], tensor: int) -> set[int]:
    """The tensors of the same integers in the same order, this one among them."""
    first = graph.tensors[tensor]
    found = {tensor}
    while (op := writer.get(tensor)) is not None and (source := _copied(graph, op)) is not None:
        x = graph.tensors[source]
        if x.dtype.kind != "f":
            if x.dtype != first.dtype or differs(first.quantization, x.quantization):
                break
            found.add(source)
        tensor = source
    return found


def _copied(graph: Graph, op: Operator) -> int | None:
    """The operand whose numbers an operator hands on as they are, if scales agree."""
    if not op.inputs or min(op.inputs) < 0 or len(op.outputs) != 1:
        return None
    others = op.inputs
    if op.opcode in _LIMITS and len(op.inputs) == 2:
        others = tuple(i for i in op.inputs if not _is_limit(graph.tensors[i], op.opcode))
        if len(others) != 1:
            return None
    elif op.opcode not in _RESHAPES + _CASTS + _OF_ONE:
        return None
    same_size = graph.tensors[others[0]].size == graph.tensors[op.outputs[0]].size
    return others[0] if same_size else None


def _is_limit(t: Tensor, opcode: str) -> bool:
    """Whether it is a constant that no number of its type is below, or above."""
    if t.data is None or t.dtype.kind not in "iu":
        return False
    limits = np.iinfo(t.dtype)
    return bool(np.all(t.data == (limits.min if opcode == "MAXIMUM" else limits.max)))


def _fault(graph: Graph, op: Operator) -> str | None:
    fits = _FITS.get(op.opcode)
    if fits is None:
        return None
    inputs, outputs = (tuple(graph.tensors[i] for i in ends) for ends in (op.inputs, op.outputs))
    return fits(Operands(inputs, outputs, op.options))
