# SPDX-License-Identifier: Apache-2.0
"""What rules need to read and to make operators and tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import GraphView, Operator, Quantization, Tensor
from converter.tflite.schema import schema


def same_type(a: Tensor, b: Tensor) -> bool:
    """Whether equal integers mean equal real values in both tensors."""
    if a.dtype != b.dtype or (a.quantization is None) != (b.quantization is None):
        return False
    if a.quantization is None or b.quantization is None:
        return True
    return np.array_equal(a.quantization.scale, b.quantization.scale) and np.array_equal(
        a.quantization.zero_point, b.quantization.zero_point
    )


def single_reader(view: GraphView, tensor: int) -> int | None:
    """The one operator that reads a tensor; None for several, none, or an output of the graph."""
    readers = view.consumers(tensor)
    return readers[0] if len(readers) == 1 and tensor not in view.graph.outputs else None


def is_int8(tensor: Tensor) -> bool:
    """int8 with one scale."""
    q = tensor.quantization
    return tensor.dtype == np.int8 and q is not None and len(q.scale) == 1


@dataclasses.dataclass(eq=False)
class Builder:
    """New operators on new tensors, for an `Edit`."""

    view: GraphView
    tensors: list[Tensor] = dataclasses.field(default_factory=list)
    operators: list[Operator] = dataclasses.field(default_factory=list)

    def tensor(self, tensor: Tensor) -> int:
        """Adds a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.view.graph.tensors) + len(self.tensors) - 1

    def get(self, index: int) -> Tensor:
        """A tensor, new or of the graph."""
        first = len(self.view.graph.tensors)
        return self.view.tensor(index) if index < first else self.tensors[index - first]

    def constant(self, data: NDArray[Any], name: str, q: Quantization | None = None) -> int:
        return self.tensor(Tensor(name, data.shape, data.dtype, q, data))

    def like(self, source: int, shape: Sequence[int], name: str) -> int:
        """A new activation of the type of `source`."""
        t = self.get(source)
        return self.tensor(Tensor(name, tuple(shape), t.dtype, t.quantization))

    def op(
        self,
        opcode: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str = "",
        version: int = 1,
        **fields: Any,
    ) -> None:
        """Appends an operator with the options object `kind` (a name of the schema's union)."""
        options, options_type = None, 0
        if kind:
            options = getattr(schema, f"{kind}T")()
            options_type = getattr(schema.BuiltinOptions, kind)
            for name, value in fields.items():
                setattr(options, name, value)
        self.operators.append(
            Operator(
                opcode,
                tuple(inputs),
                tuple(outputs),
                options=options,
                options_type=options_type,
                version=version,
            )
        )

    def reshape(self, x: int, shape: Sequence[int], y: int | None = None) -> int:
        """x in another shape, as a new tensor or as `y`; x itself where that is its shape."""
        if y is None and tuple(shape) == self.get(x).shape:
            return x
        if y is None:
            y = self.like(x, shape, f"{self.get(x).name}/reshape")
        wanted = self.constant(np.array(shape, np.int32), "shape")
        self.op("RESHAPE", [x, wanted], [y], "ReshapeOptions", newShape=[int(n) for n in shape])
        return y

    def transpose(self, x: int, order: Sequence[int], y: int | None = None) -> int:
        """x with its axes in another order, as a new tensor or as `y`."""
        shape = tuple(self.get(x).shape[i] for i in order)
        if y is None:
            y = self.like(x, shape, f"{self.get(x).name}/transpose")
        axes = self.constant(np.array(order, np.int32), "order")
        self.op("TRANSPOSE", [x, axes], [y], "TransposeOptions")
        return y

    def slice(self, x: int, begin: Sequence[int], size: Sequence[int], y: int | None = None) -> int:
        """A block of x, as a new tensor or as `y`."""
        if y is None:
            y = self.like(x, size, f"{self.get(x).name}/slice")
        bounds = [self.constant(np.array(v, np.int32), "bounds") for v in (begin, size)]
        self.op("SLICE", [x, *bounds], [y], "SliceOptions")
        return y
