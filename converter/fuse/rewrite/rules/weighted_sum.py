# SPDX-License-Identifier: Apache-2.0
"""The SUM of a MUL as the product that it is: no int8 tensor of all the terms lies between.

Tokens times a weight each, summed (attention pooling, MobileViTv2's context), and features times
those of one vector, summed (the denominator of linear attention, a cosine).
"""

from __future__ import annotations

import dataclasses
import math

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView

_Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Product:
    """left [batch, rows, depth] times right [batch, depth, columns], or of right transposed."""

    left: _Shape
    right: _Shape
    adj_y: bool


def _over_tokens(weight: _Shape, x: _Shape, axes: list[int]) -> _Product | None:
    """SUM of weight [..., tokens, 1] * x [..., tokens, features] over tokens."""
    last = len(x) - 1
    if weight != (*x[:-1], 1) or axes != list(range(axes[0], last)):
        return None
    batch, tokens = math.prod(x[: axes[0]]), math.prod(x[axes[0] : last])
    return _Product((batch, 1, tokens), (batch, tokens, x[-1]), adj_y=False)


def _over_features(a: _Shape, c: _Shape, axes: list[int]) -> _Product | None:
    """SUM of a [..., rows, features] * c [..., 1 or rows, features] over features."""
    if axes != [len(a) - 1] or a[-1] != c[-1] or len(a) < 2:
        return None
    if a == c:
        rows = math.prod(a[:-1])
        return _Product((rows, 1, a[-1]), (rows, 1, a[-1]), adj_y=True)
    if c != (*a[:-2], 1, a[-1]):
        return None
    batch = math.prod(a[:-2])
    return _Product((batch, *a[-2:]), (batch, 1, a[-1]), adj_y=True)


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    terms, result = operator.inputs[0], operator.outputs[0]
    product, data = view.producer(terms), view.tensor(operator.inputs[1]).data
    if product is None or data is None or single_reader(view, terms) is None:
        return None
    factors = view.op(product)
    if factors.opcode != "MUL" or fused_activation(factors) != "NONE":
        return None
    a, c = factors.inputs
    if a == c or not all(is_int8(view.tensor(t)) for t in (a, c, result)):
        return None
    if view.is_constant(a) or view.is_constant(c):
        return None
    axes = sorted({int(i) % len(view.tensor(terms).shape) for i in data.reshape(-1)})
    for left, right in ((a, c), (c, a)):
        for form in (_over_tokens, _over_features):
            found = form(view.tensor(left).shape, view.tensor(right).shape, axes)
            if found is not None:
                return _edit(view, (product, op), (left, right), found)
    return None


def _edit(
    view: GraphView, gone: tuple[int, int], operands: tuple[int, int], found: _Product
) -> Edit:
    b, result = Builder(view), view.op(gone[1]).outputs[0]
    shapes = (found.left, found.right)
    left, right = (b.reshape(t, shape) for t, shape in zip(operands, shapes, strict=True))
    columns = found.right[1] if found.adj_y else found.right[2]
    made = b.like(result, (*found.left[:2], columns), f"{view.tensor(result).name}/product")
    b.op(
        "BATCH_MATMUL", [left, right], [made], "BatchMatMulOptions", version=2,
        adjX=False, adjY=found.adj_y,
    )  # fmt: skip
    b.reshape(made, view.tensor(result).shape, result)
    return Edit(gone, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "weighted_sum",
    "makes one BATCH_MATMUL of a MUL of two activations and the SUM behind it",
    frozenset({"SUM"}),
    _apply,
)
