# SPDX-License-Identifier: Apache-2.0
"""MUL, DIV, ADD and SUB with a constant as y = factor * x + offset, one of each a channel."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """y = factor * x + offset, each float64 [1] or [channels]."""

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]

    def after(self, first: Affine) -> Affine:
        """Both, `first` before this one."""
        return Affine(self.factor * first.factor, self.factor * first.offset + self.offset)


def affine_of(
    view: GraphView, op: int, source: int, channels: int, axis: int = -1
) -> Affine | None:
    """What a constant operator computes of `source`, if it is the same for every element of a
    channel; None if not. `axis` has the channels."""
    left, right = view.op(op).inputs
    constant = view.tensor(right if left == source else left)
    x, y = view.tensor(source), view.tensor(view.op(op).outputs[0])
    if x.size != y.size or constant.data is None:
        return None
    rows = np.moveaxis(np.broadcast_to(constant.real(), y.shape), axis, -1).reshape(-1, channels)
    if np.any(rows != rows[0]):
        return None  # not one number a channel
    c = rows[0] if constant.size > 1 else rows[0, :1]
    one, zero = np.ones(1), np.zeros(1)
    opcode = view.op(op).opcode
    if opcode == "MUL":
        return Affine(c, zero)
    if opcode == "ADD":
        return Affine(one, c)
    if opcode == "SUB":
        return Affine(one, -c) if left == source else Affine(-one, c)
    return Affine(1.0 / c, zero) if left == source and np.all(c) else None
