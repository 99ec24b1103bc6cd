# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX in operators that the compiled runtime has: x - max(x) + log(max(softmax(x))).

The largest probability p has steps of 1/256: from 1/8 on, which is 32 of them, its logarithm is
exact to a small part of LOG_SOFTMAX's own step of 1/16. Below 1/8, where there are more than eight
nearly equal classes, 1/p is the sum of exp(x - max(x)), above 8, whose terms are as fine. Each of
the two logarithms ends where the other one begins, and they are added.
"""

from __future__ import annotations

import math

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization, Tensor
from converter.tflite.schema import schema

_MOST = 64  # terms of exp(x - max(x)), each right to 1/512: an eighth of the least sum, 8
_EVEN = 8  # classes, of which the largest has at least so many a part
_INT8 = np.dtype(np.int8)
_SOFTMAX = Quantization.per_tensor(1 / 256, -128)


def _range(low: float, high: float) -> Quantization:
    """One end is 0; numbers behind the other end are taken for it."""
    return Quantization.per_tensor((high - low) / 255, 127 if low < 0 else -128)


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
    log = tensor("log", one, _range(-math.log(min(count, _EVEN)), 0.0))
    b.op("LOG", [share], [log])
    if count > _EVEN:
        terms = tensor("terms", x.shape, _SOFTMAX)
        b.op("EXP", [below], [terms], "ExpOptions")
        total = tensor("total", one, _range(0.0, count))
        b.op("SUM", [terms, axes], [total], "ReducerOptions", keepDims=True)
        times = tensor("times", one, _range(0.0, math.log(count)))
        b.op("LOG", [total], [times])
        limit = _range(0.0, math.log(_EVEN))
        eight = b.constant(np.array(127, np.int8), "eight", limit)
        more = tensor("more", one, _range(0.0, math.log(count / _EVEN)))
        relu = schema.ActivationFunctionType.RELU
        b.op("SUB", [times, eight], [more], "SubOptions", fusedActivationFunction=relu)
        less = tensor("less", one, _range(-math.log(count), 0.0))
        b.op("SUB", [log, more], [less], "SubOptions", fusedActivationFunction=0)
        log = less
    b.op("ADD", [below, log], [result], "AddOptions", fusedActivationFunction=0)
    return Edit((op,), tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "log_softmax",
    "writes LOG_SOFTMAX with SOFTMAX, REDUCE_MAX, LOG, SUB and ADD, and with EXP and SUM where it "
    "has more than 8 values",
    frozenset({"LOG_SOFTMAX"}),
    _apply,
)
