# SPDX-License-Identifier: Apache-2.0
"""TILE as BROADCAST_TO, which TensorFlow Lite Micro has: UpSampling2D repeats rows and columns."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8, same_type
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.moves import MAX_RANK
from converter.tflite import GraphView


def _apply(view: GraphView, op: int) -> Edit | None:
    source, times = view.op(op).inputs
    x, y = view.tensor(source), view.tensor(view.op(op).outputs[0])
    multiples = view.tensor(times).data
    if x.is_constant or multiples is None or not is_int8(x) or not same_type(x, y):
        return None
    # A repeated axis of more than one element gets one of its own before it.
    before: list[int] = []
    wide: list[int] = []
    for size, count in zip(x.shape, (int(n) for n in multiples), strict=True):
        if count > 1 and size > 1:
            before, wide = [*before, 1, size], [*wide, count, size]
        else:
            before, wide = [*before, size], [*wide, size * count]
    if len(wide) > MAX_RANK:
        return None
    b = Builder(view)
    spread = b.reshape(source, before)
    result = view.op(op).outputs[0]
    target = result if tuple(wide) == y.shape else b.like(source, wide, f"{y.name}/wide")
    shape = b.constant(np.array(wide, np.int32), "shape")
    b.op("BROADCAST_TO", [spread, shape], [target], "BroadcastToOptions", version=2)
    if target != result:
        b.reshape(target, y.shape, result)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "repeated",
    "writes TILE as BROADCAST_TO, which TensorFlow Lite Micro has",
    frozenset({"TILE"}),
    _apply,
)
