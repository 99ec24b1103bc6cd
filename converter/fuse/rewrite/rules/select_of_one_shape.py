# SPDX-License-Identifier: Apache-2.0
"""SELECT as SELECT_V2, which TensorFlow Lite Micro has (it has no SELECT).

`tf.where` and what is written with it (elu, selu, masks) come out of the converter as SELECT where
all shapes are equal. A condition for each outermost part of its values is no SELECT_V2: that one
would broadcast it over the last axis.
"""

from __future__ import annotations

from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView


def _apply(view: GraphView, op: int) -> Edit | None:
    old = view.op(op)
    if len({view.tensor(t).shape for t in (*old.inputs, *old.outputs)}) != 1:
        return None
    b = Builder(view)
    b.op("SELECT_V2", list(old.inputs), list(old.outputs), "SelectV2Options")
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "select_of_one_shape",
    "writes SELECT of tensors of one shape as SELECT_V2, which TFLM has",
    frozenset({"SELECT"}),
    _apply,
)
