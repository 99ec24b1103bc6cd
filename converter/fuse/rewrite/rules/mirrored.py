# SPDX-License-Identifier: Apache-2.0
"""Mirrored edges and reversed axes as GATHER, which the compiled runtime has.

MIRROR_PAD (reflecting or symmetric padding) and REVERSE_V2 take elements along axes in an order
that is known beforehand: one GATHER an axis.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Operator, Tensor

Order = NDArray[np.int32]  # positions along one axis, in the order of the result


def _reversed(x: Tensor, _: Operator, axes: NDArray[np.int32]) -> dict[int, Order]:
    rank = len(x.shape)
    wanted = {int(a) % rank for a in axes.reshape(-1)}
    return {a: np.arange(x.shape[a] - 1, -1, -1, dtype=np.int32) for a in wanted}


def _padded(x: Tensor, op: Operator, pads: NDArray[np.int32]) -> dict[int, Order]:
    mode: Literal["symmetric", "reflect"] = "symmetric" if op.options.mode else "reflect"
    return {
        a: np.pad(np.arange(x.shape[a], dtype=np.int32), (int(first), int(last)), mode)
        for a, (first, last) in enumerate(pads)
        if first or last
    }


_ORDERS = {"MIRROR_PAD": _padded, "REVERSE_V2": _reversed}


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    source, result = old.inputs[0], old.outputs[0]
    x, how = view.tensor(source), view.tensor(old.inputs[1]).data
    if not is_int8(x) or how is None:
        return None
    orders = sorted(_ORDERS[old.opcode](x, old, how).items())
    if not orders:
        return None
    b = Builder(view)
    for i, (axis, order) in enumerate(orders):
        before = b.get(source)
        shape = (*before.shape[:axis], len(order), *before.shape[axis + 1 :])
        last = i == len(orders) - 1
        y = result if last else b.like(source, shape, f"{x.name}/axis{axis}")
        indices = b.constant(order, f"{x.name}/order{axis}")
        b.op("GATHER", [source, indices], [y], "GatherOptions", axis=axis, batchDims=0)
        source = y
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "mirrored",
    "writes MIRROR_PAD and REVERSE_V2 as a GATHER for each axis",
    frozenset(_ORDERS),
    _apply,
)
