# SPDX-License-Identifier: Apache-2.0
"""Scores, or the same less a constant where a known condition says so: a constant is added.

Keras' Attention layers hide keys so: TensorFlow makes a SELECT of a product with truths.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.tight_ranges import in_range
from converter.tflite import GraphView


def _moved(view: GraphView, tensor: int, by: int) -> float | None:
    """What is added to `by` to make the tensor; None where it is made otherwise."""
    op = view.producer(tensor)
    if op is None or view.op(op).opcode not in ("ADD", "SUB"):
        return None
    operator = view.op(op)
    if operator.inputs[0] != by or fused_activation(operator) != "NONE":
        return None
    constant = view.tensor(operator.inputs[1])
    if not constant.is_constant or not is_int8(constant) or constant.size != 1:
        return None
    amount = float(constant.real().reshape(-1)[0])
    return amount if operator.opcode == "ADD" else -amount


def _apply(view: GraphView, op: int) -> Edit | None:
    condition, first, second = view.op(op).inputs
    (result,) = view.op(op).outputs
    truths, y = view.tensor(condition).data, view.tensor(result)
    if truths is None or not is_int8(y):
        return None
    if view.op(op).opcode == "SELECT" and truths.shape != y.shape:
        return None  # a truth for each outermost part
    for moved, by, where in ((first, second, truths), (second, first, ~truths)):
        amount = _moved(view, moved, by)
        if amount is None or not is_int8(view.tensor(by)) or view.tensor(by).shape != y.shape:
            continue
        b = Builder(view)
        q = in_range(min(amount, 0.0), max(amount, 0.0))
        real = np.where(where, amount, 0.0)
        data = np.clip(np.rint(real / q.scale[0]) + q.zero_point[0], -128, 127).astype(np.int8)
        added = b.constant(data, f"{y.name}/added", q)
        b.op("ADD", [by, added], [result], "AddOptions", fusedActivationFunction=0)
        return Edit((op,), tuple(b.operators), tuple(b.tensors))
    return None


RULE = Rule(
    "select_of_sums",
    "adds a constant where a SELECT takes a tensor, or the same with a number added",
    frozenset({"SELECT", "SELECT_V2"}),
    _apply,
)
