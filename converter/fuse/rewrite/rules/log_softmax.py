# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX in operators that the compiled runtime has: x - max(x) + log(max(softmax(x))).

The largest probability is far from 0 unless there are many, so that its logarithm is exact to a
small part of LOG_SOFTMAX's own step of 1/16.
"""

from __future__ import annotations

import math

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor

_MOST = 64  # the largest of so many is at least 4 of the softmax's 256 steps
_INT8 = np.dtype(np.int8)
_SOFTMAX = Quantization.per_tensor(1 / 256, -128)


def _apply(view: GraphView, op: int) -> Edit | None:
    (source,), (result,) = view.op(op).inputs, view.op(op).outputs
    x, y = view.tensor(source), view.tensor(result)
    count = x.shape[-1]
    if not is_int8(x) or not is_int8(y) or not 2 <= count <= _MOST:
        return None
    b = Builder(view)
    axes = b.constant(np.array([len(x.shape) - 1], np.int32), "axes")
    one = (*x.shape[:-1], 1)

    def tensor(what: str, shape: tuple[int, ...], q: Quantization) -> int:
        return b.tensor(Tensor(f"{y.name}/{what}", shape, _INT8, q))

    largest = b.like(source, one, f"{y.name}/largest")
    b.op("REDUCE_MAX", [source, axes], [largest], "ReducerOptions", keepDims=True)
    below = tensor("below", x.shape, Quantization.per_tensor(x.scale, 127))
    b.op("SUB", [source, largest], [below], "SubOptions", fusedActivationFunction=0)
    shares = tensor("shares", x.shape, _SOFTMAX)
    b.op("SOFTMAX", [source], [shares], "SoftmaxOptions", beta=1.0)
    share = tensor("share", one, _SOFTMAX)
    b.op("REDUCE_MAX", [shares, axes], [share], "ReducerOptions", keepDims=True)
    log = tensor("log", one, Quantization.per_tensor(math.log(2 * count) / 255, 127))
    b.op("LOG", [share], [log])
    b.op("ADD", [below, log], [result], "AddOptions", fusedActivationFunction=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "log_softmax",
    "writes LOG_SOFTMAX with SOFTMAX, REDUCE_MAX, LOG, SUB and ADD",
    frozenset({"LOG_SOFTMAX"}),
    _apply,
)
