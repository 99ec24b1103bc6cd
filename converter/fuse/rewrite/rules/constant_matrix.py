# SPDX-License-Identifier: Apache-2.0
"""A BATCH_MATMUL with one constant matrix as the FULLY_CONNECTED that it is.

The constant stands first where tokens are mixed (Linformer's keys, FNet's Fourier matrix, a token
mixing MLP written as a product): a layer on the turned tensor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules import shared_queries
from converter.tflite import GraphView, Quantization, Tensor

_STEEPEST = 128.0  # steps of the result in one of a product: LiteRT takes less than 256


def _matrix(t: Tensor) -> NDArray[np.int8] | None:
    """The integers of a constant that is the same matrix for every batch, without zero point."""
    if t.data is None or not is_int8(t) or t.size != t.shape[-1] * t.shape[-2]:
        return None
    centered = t.data.astype(np.int16).reshape(t.shape[-2:]) - t.zero_point
    if centered.min(initial=0) < -128 or centered.max(initial=0) > 127:
        return None
    return centered.astype(np.int8)


def _turned(b: Builder, x: int, y: int | None = None) -> int:
    rank = len(b.get(x).shape)
    return b.transpose(x, (*range(rank - 2), rank - 1, rank - 2), y)


def _adds(view: GraphView, op: int) -> bool:
    return view.op(op).opcode in shared_queries.RULE.anchors


def _apply(view: GraphView, op: int) -> Edit | None:
    operator, (result,) = view.op(op), view.op(op).outputs
    first, second = (view.tensor(i) for i in operator.inputs)
    y, adj_x, adj_y = view.tensor(result), operator.options.adjX, operator.options.adjY
    is_first = first.is_constant
    matrix = _matrix(first if is_first else second)
    source = operator.inputs[1 if is_first else 0]
    x, constant = view.tensor(source), view.tensor(operator.inputs[0 if is_first else 1])
    if matrix is None or x.is_constant or not is_int8(x) or not is_int8(y):
        return None
    if any(shared_queries.RULE.apply(view, r) for r in view.consumers(result) if _adds(view, r)):
        return None  # scores by place, which are part of others
    if len(y.shape) != len(x.shape) or x.scale * constant.scale > _STEEPEST * y.scale:
        return None
    b = Builder(view)
    # x [.., rows, in] and weights [out, in], whichever stands first.
    weights = matrix if (not adj_x if is_first else adj_y) else matrix.T
    rows = _turned(b, source) if (not adj_y if is_first else adj_x) else source
    q = Quantization.per_tensor(constant.scale, 0)
    w = b.constant(np.ascontiguousarray(weights), constant.name, q)
    unit = Quantization.per_tensor(x.scale * constant.scale, 0)
    bias = b.constant(np.zeros(len(weights), np.int32), f"{y.name}/zeros", unit)
    out = b.like(result, (*b.get(rows).shape[:-1], len(weights)), f"{y.name}/rows")
    made = out if is_first else result
    b.op(
        "FULLY_CONNECTED", [rows, w, bias], [made], "FullyConnectedOptions",
        keepNumDims=True, fusedActivationFunction=0, weightsFormat=0,
    )  # fmt: skip
    if is_first:
        _turned(b, made, result)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "constant_matrix",
    "turns a BATCH_MATMUL with one constant matrix into a FULLY_CONNECTED",
    frozenset({"BATCH_MATMUL"}),
    _apply,
)
