# SPDX-License-Identifier: Apache-2.0
"""Int8 networks with only some operators left in integers, as PT2E of PyTorch writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Container

import numpy as np

from converter.tflite import Graph, Model, Operator, Tensor, parse, serialize
from tests.converter.fuse.plain_graph import PlainGraph

LAYERS = frozenset({"FULLY_CONNECTED", "CONV_2D", "GELU"})


def as_pt2e(content: bytes, quantized: Container[str] = LAYERS) -> bytes:
    """The network with all other operators in float, between DEQUANTIZE and QUANTIZE.

    Its outputs keep their types.
    """
    return _written(parse(content), quantized)


def pt2e_of(g: PlainGraph, *outputs: int, quantized: Container[str] = LAYERS) -> bytes:
    """The same of a graph made by hand, whose float operators may be in no int8 form."""
    graph = Graph(tuple(g.tensors), tuple(g.operators), tuple(g.inputs), tuple(outputs))
    return _written(Model(graph), quantized)


def _written(model: Model, quantized: Container[str]) -> bytes:
    write = _Writer(list(model.graph.tensors))
    for op in model.graph.operators:
        write.append(op, op.opcode in quantized)
    for tensor in model.graph.outputs:
        write.as_integers(tensor)
    graph = dataclasses.replace(
        model.graph, tensors=tuple(write.tensors), operators=tuple(write.operators)
    )
    return serialize(dataclasses.replace(model, graph=graph))


class _Writer:
    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.operators: list[Operator] = []
        self._floats: dict[int, int] = {}  # int8 tensor -> the same in float
        self._pending: set[int] = set()  # int8 tensors that are there in float only, so far

    def append(self, op: Operator, in_integers: bool) -> None:
        if in_integers:
            for tensor in op.inputs:
                self.as_integers(tensor)
            self.operators.append(op)
            return
        inputs = tuple(self._as_float(i) for i in op.inputs)
        outputs = tuple(self._float_of(i) for i in op.outputs)
        self._pending |= set(op.outputs)
        self.operators.append(dataclasses.replace(op, inputs=inputs, outputs=outputs, version=1))

    def as_integers(self, tensor: int) -> None:
        """Writes the QUANTIZE of what is there in float only."""
        if tensor in self._pending:
            self._pending.remove(tensor)
            self.operators.append(Operator("QUANTIZE", (self._floats[tensor],), (tensor,)))

    def _as_float(self, tensor: int) -> int:
        if tensor < 0 or self.tensors[tensor].dtype != np.int8:
            return tensor
        known = tensor in self._floats
        real = self._float_of(tensor)
        if not known and self.tensors[tensor].data is None:
            self.operators.append(Operator("DEQUANTIZE", (tensor,), (real,), version=2))
        return real

    def _float_of(self, tensor: int) -> int:
        if tensor not in self._floats:
            t = self.tensors[tensor]
            data = None if t.data is None else t.real().astype(np.float32)
            float32 = np.dtype(np.float32)
            self.tensors.append(Tensor(f"{t.name}/float", t.shape, float32, None, data))
            self._floats[tensor] = len(self.tensors) - 1
        return self._floats[tensor]
