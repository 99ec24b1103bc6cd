# SPDX-License-Identifier: Apache-2.0
"""Operands of a product, by element numbers: a BATCH_MATMUL, or a linear layer's x and weights."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.fuse.op_semantics import fused_activation
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class Operand:
    """A product's operand as [products, rows, features]: `index` numbers its tensor's elements.

    One that all products share has the same numbers in each.
    """

    tensor: int
    index: NDArray[np.int64]


def is_learnt(view: GraphView, op: int) -> bool:
    """Whether an operator is a linear layer of constant weights: a product with learnt queries."""
    operator = view.op(op)
    return (
        operator.opcode == "FULLY_CONNECTED"
        and view.is_constant(operator.inputs[1])
        and fused_activation(operator) == "NONE"
        and not getattr(operator.options, "weightsFormat", 0)
    )


def operands(view: GraphView, op: int) -> tuple[Operand, Operand]:
    """Both operands with the summed axis last: result = left . right^T.

    A linear layer's bias is left out.
    """
    operator = view.op(op)
    if operator.opcode == "FULLY_CONNECTED":
        width = view.tensor(operator.inputs[1]).shape[-1]
        x, w = (np.arange(view.tensor(t).size).reshape(1, -1, width) for t in operator.inputs[:2])
        return Operand(operator.inputs[0], x), Operand(operator.inputs[1], w)
    options = operator.options
    lead = view.tensor(operator.outputs[0]).shape[:-2]
    return (
        _operand(view, operator.inputs[0], bool(options.adjX), lead),
        _operand(view, operator.inputs[1], not options.adjY, lead),
    )


def _operand(view: GraphView, tensor: int, swap: bool, lead: tuple[int, ...]) -> Operand:
    shape = view.tensor(tensor).shape
    if len(shape) < 2:
        raise NoMatchError(f"BATCH_MATMUL operand has shape {list(shape)}, expected heads")
    index = np.arange(view.tensor(tensor).size, dtype=np.int64).reshape(shape)
    index = np.broadcast_to(index, (*lead, *shape[-2:])).reshape(-1, *shape[-2:])
    return Operand(tensor, index.swapaxes(1, 2) if swap else index)
