# SPDX-License-Identifier: Apache-2.0
"""What a code generator of one operator gets and returns."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.compile import c_text
from converter.compile.graph import Graph, Operator
from converter.compile.layout import MemoryLayout
from converter.compile.weights import WeightsImage, pointer


@dataclasses.dataclass(frozen=True)
class Call:
    """C of one operator: its parameter struct (``ctype`` empty: none) and its statements."""

    ctype: str
    params: c_text.Struct
    statements: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class CallContext:
    """The model around an operator."""

    graph: Graph
    layout: MemoryLayout
    weights: WeightsImage

    def params_name(self, op: Operator) -> str:
        """Name of the operator's parameter struct."""
        return f"kOp{op.index}"

    def address(self, tensor: int, cast: str = "") -> str:
        """C expression of a tensor's address: in the arena, or of a constant in the weights."""
        value = self.graph.tensors[tensor]
        if value.data is not None:
            at = self.weights.add(np.ascontiguousarray(value.data).tobytes())
            return pointer(f"{value.dtype.name}_t", at)
        offset = self.layout.range_of(self.graph.tensors[tensor]).offset
        return address(offset, cast)

    def scratch(self, op: Operator) -> str:
        """C expression of the operator's scratch, or NULL."""
        scratch = self.layout.scratch[op.index]
        return "NULL" if scratch is None else address(scratch.offset)


def address(offset: int, cast: str = "") -> str:
    """C expression of the arena's byte ``offset``, cast if ``cast`` is not empty."""
    plain = "arena" if offset == 0 else f"arena + {offset}"
    if not cast:
        return plain
    return f"({cast}){plain}" if offset == 0 else f"({cast})({plain})"
