# SPDX-License-Identifier: Apache-2.0
"""A `.tflite` file as immutable data: one graph of tensors and operators.

Only what the TFLite schema (version 3) states is kept; tensors are named by their index in
`Graph.tensors`. Edits make new objects (`dataclasses.replace`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

METADATA_NAME = "TFLITE_METADATA"  # the entry that holds TFLite Metadata


class TfliteError(ValueError):
    """A `.tflite` file cannot be used; the message says what was got and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Quantization:
    """real = scale * (q - zero_point), per tensor, or per index along `axis`.

    Attributes:
      scale: float32 [1] or [channels].
      zero_point: int64 of the same length.
      axis: quantized dimension when there are several scales.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int = 0

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int) -> Quantization:
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    def along(self, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(scale, zero point) as float64 arrays that broadcast against a tensor of `rank`."""
        shape = [1] * rank
        if len(self.scale) > 1:
            shape[self.axis] = len(self.scale)
        elif rank == 0:
            return np.float64(self.scale[0]), np.float64(self.zero_point[0])  # type: ignore[return-value]
        return (
            self.scale.astype(np.float64).reshape(shape),
            self.zero_point.astype(np.float64).reshape(shape),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor.

    Attributes:
      name: as in the file.
      shape: static shape; () for a scalar.
      dtype: element type.
      quantization: None where the file has no scale.
      data: the value of a constant, else None.
      is_variable: keeps its value between invocations.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quantization: Quantization | None = None
    data: NDArray[Any] | None = None
    is_variable: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        """The single scale (float32 value as a Python float)."""
        return float(self._single().scale[0])

    @property
    def zero_point(self) -> int:
        return int(self._single().zero_point[0])

    def _single(self) -> Quantization:
        if self.quantization is None or len(self.quantization.scale) != 1:
            raise TfliteError(f"tensor {self.name!r}: got no single scale, expected one")
        return self.quantization

    def real(self) -> NDArray[np.float64]:
        """The constant's real values, dequantized where it has a scale."""
        if self.data is None:
            raise TfliteError(f"tensor {self.name!r}: got an activation, expected a constant")
        values = self.data.astype(np.float64)
        if self.quantization is None:
            return values
        scale, zero_point = self.quantization.along(values.ndim)
        return scale * (values - zero_point)


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Attributes:
      opcode: BuiltinOperator name such as "FULLY_CONNECTED"; "CUSTOM" for a custom operator.
      custom_code: name of a custom operator, else "".
      version: operator version.
      inputs: tensor indices, -1 for an absent optional input.
      outputs: tensor indices.
      options: the schema's options object (`FullyConnectedOptionsT`, ...), or None.
      options_type: value of the BuiltinOptions union.
      options2, options2_type: the same for BuiltinOptions2.
      custom_options: bytes of a custom operator.
      intermediates: tensors inside the operator, of an LSTM.
    """

    opcode: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom_code: str = ""
    version: int = 1
    options: Any = None
    options_type: int = 0
    options2: Any = None
    options2_type: int = 0
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.custom_code if self.opcode == "CUSTOM" else self.opcode


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Operators in execution order over tensors; `inputs` and `outputs` are tensor indices."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = "main"


@dataclasses.dataclass(frozen=True)
class Metadata:
    """A named byte string of the file."""

    name: str
    data: bytes


@dataclasses.dataclass(frozen=True)
class AssociatedFile:
    """A file in the zip archive behind the flatbuffer, which TFLite Metadata refers to by name."""

    name: str
    data: bytes


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature: (name, tensor index) pairs."""

    key: str
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A file: one graph, and what goes with it.

    Attributes:
      files: those that an entry `METADATA_NAME` describes; without the entry there are none.
    """

    graph: Graph
    description: str = ""
    metadata: tuple[Metadata, ...] = ()
    signatures: tuple[Signature, ...] = ()
    files: tuple[AssociatedFile, ...] = ()

    def name_of(self, tensor: int) -> str:
        """Of an input or output: what a signature calls it, else its name in the graph."""
        named = (n for s in self.signatures for n, i in (*s.inputs, *s.outputs) if i == tensor)
        return next(named, self.graph.tensors[tensor].name)
