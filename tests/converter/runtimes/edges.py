# SPDX-License-Identifier: Apache-2.0
"""Small graphs whose inputs and outputs have every type and rank."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from converter.tflite.schema import schema

INT8 = (0.05, -3)
UINT8 = (0.05, 125)
INT16 = (0.0004, 0)


@dataclasses.dataclass
class Edges:
    """A graph that grows; `x` and `y` make inputs and outputs of it."""

    tensors: list[Tensor] = dataclasses.field(default_factory=list)
    operators: list[Operator] = dataclasses.field(default_factory=list)
    inputs: list[int] = dataclasses.field(default_factory=list)
    outputs: list[int] = dataclasses.field(default_factory=list)

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        scale: tuple[float, int] | None = None,
        data: np.ndarray | None = None,
    ) -> int:
        quantization = None if scale is None else Quantization.per_tensor(*scale)
        name = f"t{len(self.tensors)}"
        self.tensors.append(Tensor(name, shape, np.dtype(dtype), quantization, data))
        return len(self.tensors) - 1

    def x(self, shape: tuple[int, ...], dtype: Any, scale: Any = None) -> int:
        self.inputs.append(self.tensor(shape, dtype, scale))
        return self.inputs[-1]

    def op(
        self,
        opcode: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: Any,
        scale: Any = None,
        options: str = "",
        **fields: Any,
    ) -> int:
        """Adds an operator and returns its output."""
        y = self.tensor(shape, dtype, scale)
        value = None
        if options:
            value = getattr(schema, f"{options}T")()
            for name, field in fields.items():
                setattr(value, name, field)
        kind = getattr(schema.BuiltinOptions, options) if options else 0
        version = 2 if opcode in ("ADD", "DEQUANTIZE", "GATHER", "QUANTIZE") else 1
        self.operators.append(
            Operator(opcode, inputs, (y,), options=value, options_type=kind, version=version)
        )
        return y

    def quantize(self, x: int, dtype: Any, scale: Any) -> int:
        shape = self.tensors[x].shape
        return self.op("QUANTIZE", (x,), shape, dtype, scale, "QuantizeOptions")

    def dequantize(self, x: int) -> int:
        shape = self.tensors[x].shape
        return self.op("DEQUANTIZE", (x,), shape, np.float32, None, "DequantizeOptions")

    def model(self, *outputs: int) -> Model:
        graph = Graph(
            tuple(self.tensors), tuple(self.operators), tuple(self.inputs), tuple(outputs)
        )
        return Model(graph)

    def content(self, *outputs: int) -> bytes:
        return serialize(self.model(*outputs))


def random_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Values over the whole range of an integer type, or about that of `INT8` for float."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(0, 4, shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, kind, endpoint=True)


def int8_then(shape, dtype, scale):
    """An input of some type that becomes int8, and an output of that type again."""
    graph = Edges()
    x = graph.x(shape, dtype, scale)
    inner = graph.quantize(x, np.int8, INT8)
    y = graph.dequantize(inner) if dtype == np.float32 else graph.quantize(inner, dtype, scale)
    return graph.content(y, inner)
