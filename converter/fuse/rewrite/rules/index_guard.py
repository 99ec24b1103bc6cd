# SPDX-License-Identifier: Apache-2.0
"""A guard of indices (Keras Embedding) in operators that TensorFlow Lite Micro has.

i < 0 ? i + n : i, written LESS, ADD, SELECT, is i + max(min(i, 0), -1) * -n: the same for every i.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Tensor


def _constant(view: GraphView, tensor: int) -> int | None:
    data = view.tensor(tensor).data
    return int(data.reshape(-1)[0]) if data is not None and data.size == 1 else None


def _addend(view: GraphView, op: int | None, x: int) -> int | None:
    """n of x + n."""
    if op is None or view.op(op).opcode != "ADD" or fused_activation(view.op(op)) != "NONE":
        return None
    a, b = view.op(op).inputs
    return _constant(view, b if a == x else a) if x in (a, b) else None


def _apply(view: GraphView, op: int) -> Edit | None:
    condition, moved, x = view.op(op).inputs
    less, add, y = view.producer(condition), view.producer(moved), view.op(op).outputs[0]
    source = view.tensor(x)
    if source.dtype != np.int32 or source.data is not None or source.shape != view.tensor(y).shape:
        return None
    if less is None or view.op(less).opcode != "LESS" or view.op(less).inputs[0] != x:
        return None
    n = _addend(view, add, x)
    if add is None or n is None or _constant(view, view.op(less).inputs[1]) != 0:
        return None
    if any(len(view.consumers(t)) != 1 or t in view.graph.outputs for t in (condition, moved)):
        return None
    b = Builder(view)

    def number(value: int) -> int:
        return b.constant(np.array(value, np.int32), f"index_guard_{value}")

    def next_one() -> int:
        return b.tensor(Tensor("index_guard", source.shape, np.dtype(np.int32)))

    low, sign, step = next_one(), next_one(), next_one()
    b.op("MINIMUM", [x, number(0)], [low], "MaximumMinimumOptions")
    b.op("MAXIMUM", [low, number(-1)], [sign], "MaximumMinimumOptions")
    b.op("MUL", [sign, number(-n)], [step], "MulOptions", fusedActivationFunction=0)
    b.op("ADD", [x, step], [y], "AddOptions", fusedActivationFunction=0)
    return Edit((less, add, op), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "index_guard",
    "writes i < 0 ? i + n : i of int32 with MINIMUM, MAXIMUM, MUL and ADD",
    frozenset({"SELECT", "SELECT_V2"}),
    _apply,
)
