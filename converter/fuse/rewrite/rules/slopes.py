# SPDX-License-Identifier: Apache-2.0
"""PRELU in operators that the compiled runtime has: max(x, 0) + slope * min(x, 0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor


def _product(x: Tensor, slopes: NDArray[np.float64]) -> Quantization | None:
    """The type that holds slope * min(x, 0) for every x, or None where that is always 0."""
    steepest = float(np.max(np.abs(slopes)))
    negative = x.zero_point + 128  # steps of x below 0
    if not steepest or not negative:
        return None
    if np.all(slopes >= 0):
        return Quantization.per_tensor(x.scale * steepest, x.zero_point)
    return Quantization.per_tensor(x.scale * steepest * negative / 127, 0)


def _apply(view: GraphView, op: int) -> Edit | None:
    source, slopes = view.op(op).inputs
    result = view.op(op).outputs[0]
    x, a, y = view.tensor(source), view.tensor(slopes), view.tensor(result)
    if not a.is_constant or not is_int8(x) or not is_int8(a) or not is_int8(y):
        return None
    product = _product(x, a.real())
    if product is None or fused_activation(view.op(op)) != "NONE":
        return None
    b = Builder(view)
    none = b.constant(np.array(x.zero_point, np.int8), f"{x.name}/zero", x.quantization)
    above, below = (b.like(source, x.shape, f"{y.name}/{side}") for side in ("above", "below"))
    b.op("MAXIMUM", [source, none], [above], "MaximumMinimumOptions")
    b.op("MINIMUM", [source, none], [below], "MaximumMinimumOptions")
    bent = b.tensor(Tensor(f"{y.name}/bent", x.shape, x.dtype, product))
    b.op("MUL", [below, slopes], [bent], "MulOptions", fusedActivationFunction=0)
    b.op("ADD", [above, bent], [result], "AddOptions", fusedActivationFunction=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "slopes",
    "writes PRELU with MAXIMUM, MINIMUM, MUL and ADD",
    frozenset({"PRELU"}),
    _apply,
)
