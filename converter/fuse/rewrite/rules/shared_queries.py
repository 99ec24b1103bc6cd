# SPDX-License-Identifier: Apache-2.0
"""q.k + q.p as q.(k + p): scores by content and by place (BoTNet), which are one product.

The sum of k and p is an int8 tensor in the range of both together; the sum of the scores, which has
as many elements as there are pairs of tokens, is none any more.
"""

from __future__ import annotations

import numpy as np

from converter.fuse.op_semantics import fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.tight_ranges import in_range
from converter.tflite import GraphView, Quantization, Tensor
from converter.tflite.narrow_sums import real_range


def _product(view: GraphView, scores: int) -> int | None:
    op = view.producer(scores)
    if op is None or single_reader(view, scores) is None:
        return None
    return op if view.op(op).opcode == "BATCH_MATMUL" and not view.op(op).options.adjX else None


def _sum(a: Tensor, c: Tensor) -> Quantization:
    (a_low, a_high), (c_low, c_high) = real_range(a), real_range(c)
    return in_range(min(0.0, a_low + c_low), max(0.0, a_high + c_high))


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    products = [_product(view, scores) for scores in operator.inputs]
    if None in products or fused_activation(operator) != "NONE":
        return None
    first, second = (view.op(p) for p in products if p is not None)
    if first is second or first.inputs[0] != second.inputs[0]:
        return None
    if view.is_constant(first.inputs[1]):
        first, second = second, first
    queries, keys = first.inputs
    k, p, y = (view.tensor(t) for t in (keys, second.inputs[1], operator.outputs[0]))
    if k.is_constant or not all(is_int8(t) for t in (k, p, y)):
        return None
    b, places, adj_y = Builder(view), second.inputs[1], bool(first.options.adjY)
    if adj_y != bool(second.options.adjY):
        if p.data is None:
            return None
        turned = np.ascontiguousarray(p.data.swapaxes(-1, -2))
        places = b.constant(turned, f"{p.name}/turned", p.quantization)
    if b.get(places).shape != k.shape:
        return None
    summed = b.tensor(Tensor(f"{y.name}/keys", k.shape, k.dtype, _sum(k, p)))
    b.op("ADD", [keys, places], [summed], "AddOptions", fusedActivationFunction=0)
    b.op(
        "BATCH_MATMUL", [queries, summed], [operator.outputs[0]], "BatchMatMulOptions", version=2,
        adjX=False, adjY=adj_y,
    )  # fmt: skip
    gone = tuple(sorted({op, *(p for p in products if p is not None)}))
    return Edit(gone, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "shared_queries",
    "makes one BATCH_MATMUL of two with the same first operand whose results are added",
    frozenset({"ADD"}),
    _apply,
)
