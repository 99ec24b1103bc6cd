# SPDX-License-Identifier: Apache-2.0
"""What a code generator of one operator gets and returns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converter.compile import c_text
from converter.compile.planned import PlannedGraph
from converter.compile.weights import WeightsImage, pointer
from converter.plan.layout import Span
from converter.tflite import Graph, Operator, Tensor


@dataclasses.dataclass(frozen=True)
class Call:
    """C of one operator: its parameter struct (``ctype`` empty: none) and its statements.

    A tuple of structs is an array.
    """

    ctype: str
    params: c_text.Initializer | tuple[c_text.Initializer, ...]
    statements: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CallContext:
    """One operator and the model around it."""

    planned: PlannedGraph
    weights: WeightsImage
    index: int

    @property
    def graph(self) -> Graph:
        return self.planned.graph

    @property
    def op(self) -> Operator:
        return self.graph.operators[self.index]

    @property
    def where(self) -> str:
        """The operator, for messages."""
        return f"operator {self.index} {self.op.name}"

    @property
    def params_name(self) -> str:
        """Name of the operator's parameter struct."""
        return f"kOp{self.index}"

    @property
    def scratch_span(self) -> Span | None:
        """The operator's scratch."""
        return self.planned.plan.scratch[self.index]

    def tensor(self, index: int) -> Tensor:
        """A tensor of the graph."""
        return self.graph.tensors[index]

    def address(self, tensor: int, cast: str = "") -> str:
        """C expression of a tensor's address: in the arena, or of a constant in the weights."""
        value = self.tensor(tensor)
        if value.data is not None:
            at = self.weights.add(np.ascontiguousarray(value.data).tobytes())
            return pointer(element_type(value.dtype), at)
        return address(self.planned.span(tensor).offset, cast)

    def typed_address(self, tensor: int, const: bool = False, element: str = "") -> str:
        """The same as a pointer to the tensor's elements, or to elements of that C type."""
        own = element_type(self.tensor(tensor).dtype)
        ctype = element or own
        cast = f"const {ctype}*" if const else f"{ctype}*"
        if self.tensor(tensor).is_constant and ctype != own:
            return f"({cast})({self.address(tensor)})"
        return self.address(tensor, cast)

    def scratch(self) -> str:
        """C expression of the operator's scratch, or NULL."""
        return "NULL" if self.scratch_span is None else address(self.scratch_span.offset)


def element_type(dtype: np.dtype[Any]) -> str:
    """The C type of a tensor's elements."""
    return {"float32": "float", "bool": "uint8_t"}.get(dtype.name, f"{dtype.name}_t")


def address(offset: int, cast: str = "") -> str:
    """C expression of the arena's byte ``offset``, cast if ``cast`` is not empty."""
    plain = "arena" if offset == 0 else f"arena + {offset}"
    if not cast:
        return plain
    return f"({cast}){plain}" if offset == 0 else f"({cast})({plain})"
