# SPDX-License-Identifier: Apache-2.0
"""What all runtimes have in common: inputs, outputs, `run` and `run_batch`."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Graph, Tensor

Array = NDArray[Any]


class RuntimeUnavailableError(RuntimeError):
    """A runtime does not exist, cannot be set up here, or cannot run the model."""


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """A model's input or output.

    Attributes:
      name: as in the file.
      shape: all dimensions, the batch of 1 included where the model has one.
      dtype: element type.
      scale, zero_point: real = scale * (q - zero_point); None where it is not quantized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float | None
    zero_point: int | None

    @classmethod
    def of(cls, tensor: Tensor) -> TensorSpec:
        """Of a tensor of the file; TfliteError where it has several scales."""
        if tensor.quantization is None or tensor.dtype.kind not in "iu":
            return cls(tensor.name, tensor.shape, tensor.dtype, None, None)
        return cls(tensor.name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


class Runtime(abc.ABC):
    """One model in one runtime. Not for use from several threads at once.

    Attributes:
      inputs, outputs: in the file's order.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __init__(self, graph: Graph) -> None:
        """Takes inputs and outputs from the file's graph; TfliteError where one has two scales."""
        self.inputs = tuple(TensorSpec.of(graph.tensors[i]) for i in graph.inputs)
        self.outputs = tuple(TensorSpec.of(graph.tensors[i]) for i in graph.outputs)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """One inference.

        Args:
          arrays: one for each of `inputs`, of exactly its shape and dtype.

        Returns:
          One array for each of `outputs`, of its shape and dtype; the caller's own.

        Raises:
          ValueError: wrong number of arrays, a wrong shape or dtype.
        """
        self._check(arrays, batch=None)
        return self._shaped(self._run([np.asarray(a, order="C") for a in arrays]))

    def run_batch(self, *stacks: Array) -> tuple[Array, ...]:
        """Many inferences, in parallel where the runtime can.

        Args:
          stacks: one for each of `inputs`: ``[n, *shape]``.

        Returns:
          One ``[n, *shape]`` for each of `outputs`.

        Raises:
          ValueError: wrong number of stacks, a wrong shape or dtype, or different lengths.
        """
        batch = len(stacks[0]) if stacks and stacks[0].ndim else 0
        self._check(stacks, batch)
        return self._shaped(self._run_batch([np.asarray(s, order="C") for s in stacks]), (batch,))

    @abc.abstractmethod
    def _run(self, arrays: Sequence[Array]) -> Sequence[Array]:
        """One inference of checked, contiguous arrays; outputs of any shape of their size."""

    def _run_batch(self, stacks: Sequence[Array]) -> Sequence[Array]:
        """The same for stacks; a runtime with a better way overrides it."""
        results = [
            np.empty((len(stacks[0]) if stacks else 0, *o.shape), o.dtype) for o in self.outputs
        ]
        for index, arrays in enumerate(zip(*stacks, strict=True)):
            for result, y in zip(results, self._run(arrays), strict=True):
                result[index] = y.reshape(result.shape[1:])
        return results

    def _shaped(self, ys: Sequence[Array], batch: tuple[int, ...] = ()) -> tuple[Array, ...]:
        result = []
        for y, spec in zip(ys, self.outputs, strict=True):
            if y.dtype != spec.dtype:
                raise TypeError(f"output {spec.name!r}: got {y.dtype}, the file says {spec.dtype}")
            result.append(y.reshape(batch + spec.shape))
        return tuple(result)

    def _check(self, arrays: Sequence[Array], batch: int | None) -> None:
        if len(arrays) != len(self.inputs):
            expected = ", ".join(f"{spec.name!r} {spec}" for spec in self.inputs)
            raise ValueError(
                f"inputs: got {len(arrays)}, expected {len(self.inputs)}"
                + (f": {expected}" if expected else "")
            )
        for spec, x in zip(self.inputs, arrays, strict=True):
            shape = spec.shape if batch is None else (batch, *spec.shape)
            if x.dtype != spec.dtype or x.shape != shape:
                wanted = spec.shape if batch is None else (len(arrays[0]), *spec.shape)
                raise ValueError(
                    f"input {spec.name!r}: got {x.dtype} {list(x.shape)}, expected {spec.dtype} "
                    f"{list(wanted)}"
                )
