# SPDX-License-Identifier: Apache-2.0
"""Operands of a BATCH_MATMUL, by element numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import NoMatchError
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class Operand:
    """A BATCH_MATMUL operand as [products, rows, features]: `index` numbers its tensor's elements.

    One that all products share has the same numbers in each.
    """

    tensor: int
    index: NDArray[np.int64]


def operands(view: GraphView, op: int) -> tuple[Operand, Operand]:
    """Both operands of a BATCH_MATMUL with the summed axis last: result = left . right^T."""
    operator = view.op(op)
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
