# SPDX-License-Identifier: Apache-2.0
"""A factor of its own for each head's scores, as cosine attention has it (Swin v2), goes to q.

The scores of one attention have one factor there. As the largest factor sets the scale of the new
q, each head's scores keep the absolute accuracy of that head's, which is what softmax sees.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.layout import data_input, scalar_factor
from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor


def _factor(view: GraphView, op: int) -> tuple[int, int] | None:
    """(product, constant) of a MUL by one positive number for each matrix, not one for all."""
    for product, constant in (view.op(op).inputs, view.op(op).inputs[::-1]):
        c = view.tensor(constant)
        if not c.is_constant or c.quantization is None or c.size == 1:
            continue
        shape = (1,) * (len(view.tensor(product).shape) - len(c.shape)) + c.shape
        if shape[-2:] == (1, 1) and np.all(c.real() > 0):
            return product, constant
    return None


def _for_all(view: GraphView, scores: int) -> tuple[float, int, int | None]:
    """(positive number that all scores are multiplied with, what they are before that, the
    operator between): 1, the scores and None without."""
    op = view.producer(scores)
    if op is None or view.op(op).opcode not in ("MUL", "DIV"):
        return 1.0, scores, None
    source = data_input(view, op)
    factor = None if source is None else scalar_factor(view, op, source)
    if source is None or factor is None or factor <= 0.0:
        return 1.0, scores, None
    if single_reader(view, source) != op or view.tensor(source).size != view.tensor(scores).size:
        return 1.0, scores, None
    return factor, source, op


def _apply(view: GraphView, op: int) -> Edit | None:
    found = _factor(view, op)
    if found is None or fused_activation(view.op(op)) != "NONE":
        return None
    scores, constant = found
    c = view.tensor(constant)
    if single_reader(view, scores) != op:
        return None
    for_all, scores, between = _for_all(view, scores)
    product = view.producer(scores)
    if product is None or view.op(product).opcode != "BATCH_MATMUL":
        return None
    source, other = view.op(product).inputs
    q = view.tensor(source)
    if q.is_constant or not is_int8(q):
        return None
    before = view.producer(source)
    if before is not None and view.op(before).opcode == "SOFTMAX":
        return None  # no scores: what heads say, weighted
    if view.tensor(scores).shape != view.tensor(view.op(op).outputs[0]).shape:
        return None
    if np.broadcast_shapes(q.shape, c.shape) != q.shape:
        return None
    b = Builder(view)
    scale = float(q.scale) * float(np.max(c.real())) * for_all
    wide = Quantization.per_tensor(scale, q.zero_point)
    scaled = b.tensor(Tensor(f"{q.name}/by_head", q.shape, q.dtype, wide))
    if between is not None:  # the same integers: only their scale is another
        by_head = Quantization.per_tensor(c.scale * for_all, c.zero_point)
        constant = b.tensor(dataclasses.replace(c, quantization=by_head))
    b.op("MUL", [source, constant], [scaled], "MulOptions", fusedActivationFunction=0)
    b.operators.append(
        dataclasses.replace(view.op(product), inputs=(scaled, other), outputs=view.op(op).outputs)
    )
    gone = (product, op) if between is None else (product, between, op)
    return Edit(gone, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "head_factor",
    "moves a constant factor of each head's scores to the queries",
    frozenset({"MUL"}),
    _apply,
)
