# SPDX-License-Identifier: Apache-2.0
"""A constant factor of a sum of two layers goes into both: c (a + b) = c a + c b.

The average of two heads is such a factor (DeiT with a distillation token). `constant_factor` then
folds both into the layers; only scales change, and a rounding is saved.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.layout import data_input
from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.constant_factor import layer_before
from converter.tflite import GraphView, Quantization


def _factor(view: GraphView, op: int, source: int) -> float | None:
    """The positive number that a MUL or DIV multiplies all values by."""
    left, right = view.op(op).inputs
    constant = view.tensor(right if left == source else left)
    if constant.data is None or constant.size != 1:
        return None
    value = float(constant.real().reshape(()))
    if view.op(op).opcode == "DIV":
        value = 1.0 / value if left == source and value else 0.0
    return value if value > 0.0 else None


def _takes_factor(view: GraphView, tensor: int) -> bool:
    """Whether the tensor is a layer's, whose weights take a factor without a change of integers."""
    found = layer_before(view, tensor)
    if found is None or not is_int8(view.tensor(tensor)):
        return False
    layer = view.op(found[0])
    weights = view.tensor(layer.inputs[1])
    q = weights.quantization
    symmetric = weights.data is not None and q is not None and not np.any(q.zero_point)
    return symmetric and weights.dtype == np.int8 and fused_activation(layer) == "NONE"


def _apply(view: GraphView, op: int) -> Edit | None:
    source, result = data_input(view, op), view.op(op).outputs[0]
    total = None if source is None else view.producer(source)
    if source is None or total is None or view.op(total).opcode != "ADD":
        return None
    factor = _factor(view, op, source)
    terms = view.op(total).inputs
    if factor is None or single_reader(view, source) != op or terms[0] == terms[1]:
        return None
    if fused_activation(view.op(total)) != "NONE" or not is_int8(view.tensor(result)):
        return None
    if not all(_takes_factor(view, term) for term in terms):
        return None
    b = Builder(view)
    scaled = [_scaled(view, b, term, factor) for term in terms]
    options = type(view.op(total).options)()
    options.__dict__.update(view.op(total).options.__dict__)
    options.fusedActivationFunction = view.op(op).options.fusedActivationFunction
    add = dataclasses.replace(
        view.op(total), inputs=tuple(scaled), outputs=(result,), options=options
    )
    return Edit((total, op), (*b.operators, add), tuple(b.tensors))


def _scaled(view: GraphView, b: Builder, term: int, factor: float) -> int:
    """A term times the factor: the same integers in a scale as many times as large."""
    t = view.tensor(term)
    q = Quantization.per_tensor(t.scale * factor, t.zero_point)
    y = b.tensor(dataclasses.replace(t, name=f"{t.name}/scaled", quantization=q))
    constant = b.constant(np.array([1], np.int8), "factor", Quantization.per_tensor(factor, 0))
    b.op("MUL", [term, constant], [y], "MulOptions", fusedActivationFunction=0)
    return y


RULE = Rule(
    "shared_factor",
    "moves a constant factor of a sum of two layers into both, where it is folded",
    frozenset({"MUL", "DIV"}),
    _apply,
)
