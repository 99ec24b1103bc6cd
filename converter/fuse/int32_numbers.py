# SPDX-License-Identifier: Apache-2.0
"""Numbers of int64 as int32: PyTorch's and NumPy's token numbers, which no runtime here takes."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np

from converter.tflite import Graph, Operator, Tensor, TfliteError
from converter.tflite.operators import operator_fault
from converter.tflite.schema import schema

_LONG, _SHORT = np.dtype(np.int64), np.dtype(np.int32)
_TYPE_FIELDS = ("inDataType", "outDataType", "outputType", "outType", "idxOutType")


def with_int32(graph: Graph) -> Graph:
    """The graph with int32 for int64: inputs, outputs and all that is computed between them.

    Raises:
      TfliteError: a constant that int32 does not hold, or an operator that has int64 alone.
    """
    tensors = tuple(_shortened(t) for t in graph.tensors)
    operators = tuple(_retyped(op) for op in graph.operators)
    for index, op in enumerate(operators):
        fault = operator_fault(tensors, op)
        if fault is not None and operator_fault(graph.tensors, graph.operators[index]) is None:
            raise TfliteError(
                f"--int8_io: got numbers of int64 in {op.name} (op {index}), which has no form of "
                f"int32: {fault}; convert the network with int32 inputs, or leave --int8_io out"
            )
    return dataclasses.replace(graph, tensors=tensors, operators=operators)


def _shortened(tensor: Tensor) -> Tensor:
    """Biases have a scale, and stay."""
    if tensor.dtype != _LONG or tensor.quantization is not None:
        return tensor
    if tensor.data is None:
        return dataclasses.replace(tensor, dtype=_SHORT)
    data = tensor.data.astype(_SHORT)
    if not np.array_equal(data, tensor.data):
        raise TfliteError(
            f"--int8_io: got a constant of int64 {tensor.name!r} beyond 32 bits, expected numbers "
            "that int32 holds; leave --int8_io out"
        )
    return dataclasses.replace(tensor, dtype=_SHORT, data=data)


def _retyped(op: Operator) -> Operator:
    """With the types that options name a second time."""
    if not any(getattr(op.options, f, None) == schema.TensorType.INT64 for f in _TYPE_FIELDS):
        return op
    options: Any = copy.copy(op.options)
    for name in _TYPE_FIELDS:
        if getattr(options, name, None) == schema.TensorType.INT64:
            setattr(options, name, schema.TensorType.INT32)
    return dataclasses.replace(op, options=options)
