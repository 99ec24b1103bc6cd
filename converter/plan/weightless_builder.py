# SPDX-License-Identifier: Apache-2.0
"""A fused graph without weights, operator after operator; constants are zeros of no memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.plan.order import execution_order
from converter.tflite import Graph, Operator, Tensor
from tflm_custom_ops.ops import Params, code_of, operator_of
from tflm_custom_ops.ops.weightless import zeros

INT8 = np.dtype(np.int8)
Shape = tuple[int, ...]


class GraphBuilder:
    """Tensors are known by their number; 0 is the image."""

    def __init__(self, image: Shape) -> None:
        self._tensors = [Tensor("image", image, INT8)]
        self._operators: list[Operator] = []
        self._ops: list[Params | None] = []

    def shape(self, tensor: int) -> Shape:
        """Of a tensor that was added."""
        return self._tensors[tensor].shape

    def builtin(
        self, name: str, inputs: Sequence[int], shape: Shape, *constants: NDArray[Any]
    ) -> int:
        """An int8 result of a builtin operator; its constants come behind its inputs."""
        found = [*inputs]
        for data in constants:
            found.append(len(self._tensors))
            label = f"constant{len(self._tensors)}"
            self._tensors.append(Tensor(label, data.shape, data.dtype, data=data))
        return self._add(None, Operator(name, tuple(found), (len(self._tensors),)), shape, INT8)

    def fused(self, op: Params, *inputs: int, shape: Shape | None = None) -> int:
        """The result of a fused operator of one image, of the shape that it states or a given one
        of as many elements."""
        blob = len(self._tensors)
        data = zeros("uint8", 16)
        self._tensors.append(Tensor(f"blob{len(self._ops)}", data.shape, data.dtype, data=data))
        output = operator_of(op).output
        if shape is None:
            assert output.shape is not None  # of an operator of any shape the caller gives it
            # Rows and features of one image; a row that stands for all tokens has no dimension.
            shape = (*(() if output.shape[0] == 1 else (1,)), *output.shape)
        operator = Operator("CUSTOM", (*inputs, blob), (len(self._tensors),), code_of(op))
        return self._add(op, operator, shape, output.dtype)

    def _add(
        self, op: Params | None, operator: Operator, shape: Shape, dtype: np.dtype[Any]
    ) -> int:
        label = f"{operator.name.lower()}{len(self._ops)}"
        self._tensors.append(Tensor(label, shape, dtype))
        self._operators.append(operator)
        self._ops.append(op)
        return len(self._tensors) - 1

    def graph(self, output: int) -> tuple[Graph, tuple[Params | None, ...]]:
        """The graph in the order that the fuser gives it, and its operators' parameters (None for
        builtin ones)."""
        graph = Graph(tuple(self._tensors), tuple(self._operators), (0,), (output,))
        order = execution_order(graph)
        graph = dataclasses.replace(graph, operators=tuple(self._operators[i] for i in order))
        return graph, tuple(self._ops[i] for i in order)
