# SPDX-License-Identifier: Apache-2.0
"""The view of a ``.tflite`` that the code generator works on: parts that know their index."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter import tflite
from converter.compile.errors import CompileError


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor(tflite.Tensor):
    """A tensor and its index."""

    index: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Operator(tflite.Operator):
    """An operator and its index."""

    index: int = 0

    @property
    def is_custom(self) -> bool:
        return self.opcode == "CUSTOM"


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A model with one int8 input and one int8 output."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    input: Tensor
    output: Tensor

    def activations(self, indices: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The non-constant tensors among ``indices``."""
        present = (self.tensors[i] for i in indices if i >= 0)
        return tuple(t for t in present if not t.is_constant)


def _fields(value: object) -> dict[str, object]:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}  # type: ignore[arg-type]


def _end(what: str, indices: tuple[int, ...], tensors: tuple[Tensor, ...]) -> Tensor:
    if len(indices) != 1:
        raise CompileError(f"got {len(indices)} model {what}s, expected 1")
    tensor = tensors[indices[0]]
    if tensor.dtype != np.int8:
        raise CompileError(
            f"model {what} {tensor.name}: got {tensor.dtype}, expected int8; quantize with int8 "
            "inputs and outputs"
        )
    if tensor.quantization is None or len(tensor.quantization.scale) != 1:
        raise CompileError(f"model {what} {tensor.name}: has no scale and zero point")
    return tensor


def read_graph(model_bytes: bytes) -> Graph:
    """Reads a ``.tflite``.

    Raises:
      CompileError: not a usable TFLite file, or an interface other than one int8 input and one
        int8 output.
    """
    try:
        graph = tflite.parse(model_bytes).graph
    except tflite.TfliteError as error:
        raise CompileError(str(error)) from error
    tensors = tuple(Tensor(**_fields(t), index=i) for i, t in enumerate(graph.tensors))  # type: ignore[arg-type]
    operators = tuple(Operator(**_fields(o), index=i) for i, o in enumerate(graph.operators))  # type: ignore[arg-type]
    ends = (_end("input", graph.inputs, tensors), _end("output", graph.outputs, tensors))
    return Graph(tensors, operators, *ends)
