# SPDX-License-Identifier: Apache-2.0
"""Sums and products of int8 get the range that their operands allow, where theirs is far wider.

TensorFlow's quantizer hands the range of a mask of -10,000 back to what it is made of: 1 - mask is
then 0 or 1 in steps of 39, and the mask is gone; so are scores to which it is added.
"""

from __future__ import annotations

import dataclasses

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization
from converter.tflite.narrow_sums import reachable, real_range

_WIDER = 16.0  # times, from which on a range is thought to be wrong
# What reads its operands in whatever steps they have.
_READERS = frozenset({"ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "BATCH_MATMUL", "SOFTMAX"})


def in_range(low: float, high: float) -> Quantization:
    """int8 from `low` to `high`, which have 0 between them."""
    scale = (high - low) / 255
    return Quantization.per_tensor(scale, round(-128 - low / scale))


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    (result,) = operator.outputs
    y = view.tensor(result)
    operands = [view.tensor(i) for i in operator.inputs]
    if fused_activation(operator) != "NONE" or not all(is_int8(t) for t in (*operands, y)):
        return None
    readers = {view.op(r).opcode for r in view.consumers(result)}
    if result in view.graph.outputs or not readers or not readers <= _READERS:
        return None
    low, high = reachable(operator.opcode, *(real_range(t) for t in operands))
    low, high = min(low, 0.0), max(high, 0.0)
    if not 0.0 < _WIDER * (high - low) < 255 * y.scale:
        return None
    b = Builder(view)
    tight = b.tensor(
        dataclasses.replace(y, name=f"{y.name}/tight", quantization=in_range(low, high))
    )
    new = dataclasses.replace(operator, outputs=(tight,))
    return Edit((op,), (new,), tuple(b.tensors), {result: tight})


RULE = Rule(
    "tight_ranges",
    "gives ADD, SUB and MUL the range that their operands allow, where theirs is 16 times wider",
    frozenset({"ADD", "SUB", "MUL"}),
    _apply,
)
