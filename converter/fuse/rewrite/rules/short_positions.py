# SPDX-License-Identifier: Apache-2.0
"""Constant positions of 64 bits become those of 32, which TFLM and the compiled runtime read.

NumPy's and PyTorch's indices are int64: `take` of patches that are kept (a masked autoencoder),
paddings and blocks come so.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

# Which operands are positions, sizes or axes.
_PLACES = {
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "GATHER": (1,),
    "GATHER_ND": (1,),
    "MIRROR_PAD": (1,),
    "PAD": (1,),
    "SLICE": (1, 2),
    "TILE": (1,),
}


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    inputs = list(operator.inputs)
    b = Builder(view)
    for place in _PLACES[operator.opcode]:
        t = view.tensor(inputs[place])
        if t.dtype != np.int64 or t.data is None:
            return None
        short = t.data.astype(np.int32)
        if not np.array_equal(short, t.data):
            return None
        inputs[place] = b.constant(short, t.name)
    new = dataclasses.replace(operator, inputs=tuple(inputs))
    return Edit((op,), (new,), tuple(b.tensors))


RULE = Rule(
    "short_positions",
    "stores constant positions, sizes and axes of 64 bits in 32",
    frozenset(_PLACES),
    _apply,
)
