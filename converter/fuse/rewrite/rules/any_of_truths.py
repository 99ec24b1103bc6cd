# SPDX-License-Identifier: Apache-2.0
"""REDUCE_ANY and REDUCE_ALL of truths as the largest and the smallest of 0 and 1."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

_BYTE = np.dtype(np.int8)
_EXTREMES = {"REDUCE_ANY": "REDUCE_MAX", "REDUCE_ALL": "REDUCE_MIN"}


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    (truths, axes), (result,) = old.inputs, old.outputs
    x, y = view.tensor(truths), view.tensor(result)
    if view.tensor(axes).data is None:
        return None
    b, unit = Builder(view), Quantization.per_tensor(0.5, 0)  # comparisons want one below 1
    numbers = b.tensor(Tensor(f"{x.name}/numbers", x.shape, _BYTE, unit))
    extreme = b.tensor(Tensor(f"{y.name}/extreme", y.shape, _BYTE, unit))
    one, zero = (b.constant(np.array(n, np.int8), f"{x.name}/{n}", unit) for n in (1, 0))
    b.op("SELECT_V2", [truths, one, zero], [numbers], "SelectV2Options")
    keep = bool(old.options.keepDims)
    b.op(_EXTREMES[old.opcode], [numbers, axes], [extreme], "ReducerOptions", keepDims=keep)
    b.op("NOT_EQUAL", [extreme, zero], [result], "NotEqualOptions")
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "any_of_truths",
    "writes REDUCE_ANY and REDUCE_ALL with SELECT_V2, REDUCE_MAX or REDUCE_MIN, and NOT_EQUAL",
    frozenset(_EXTREMES),
    _apply,
)
