# SPDX-License-Identifier: Apache-2.0
"""CUMSUM as a layer whose weights are ones up to the element, in float between casts or not."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.tflite import GraphView, Quantization

_MOST = 512  # elements of a sum: its weights are their square
_STEEPEST = 128.0  # steps of the result in one of x: LiteRT takes less than 256


def _ends(view: GraphView, op: int) -> tuple[int, int, tuple[int, ...]] | None:
    """(int8 before, int8 behind, operators): a QUANTIZE behind a CUMSUM in float is part of it."""
    source, result = view.op(op).inputs[0], view.op(op).outputs[0]
    if is_int8(view.tensor(source)) and is_int8(view.tensor(result)):
        return source, result, (op,)
    before, behind = view.producer(source), single_reader(view, result)
    if before is None or behind is None:
        return None
    if (view.op(before).opcode, view.op(behind).opcode) != ("DEQUANTIZE", "QUANTIZE"):
        return None
    x, y = view.op(before).inputs[0], view.op(behind).outputs[0]
    if not is_int8(view.tensor(x)) or not is_int8(view.tensor(y)):
        return None
    return x, y, (op, behind)


def _apply(view: GraphView, op: int) -> Edit | None:
    operator, ends = view.op(op), _ends(view, op)
    data = view.tensor(operator.inputs[1]).data
    if ends is None or data is None:
        return None
    source, result, gone = ends
    x, y = view.tensor(source), view.tensor(result)
    rank = len(x.shape)
    axis = int(data.reshape(-1)[0]) % rank
    count = x.shape[axis]
    if count > _MOST or x.scale > _STEEPEST * y.scale:
        return None
    ones = np.tri(count, k=-int(operator.options.exclusive), dtype=np.int8)
    b = Builder(view)
    weights = ones.T if operator.options.reverse else ones
    w = b.constant(np.ascontiguousarray(weights), f"{y.name}/ones", Quantization.per_tensor(1.0, 0))
    unit = Quantization.per_tensor(x.scale, 0)
    bias = b.constant(np.zeros(count, np.int32), f"{y.name}/zeros", unit)
    order = [*(i for i in range(rank) if i != axis), axis]
    back = [order.index(i) for i in range(rank)]
    turned = source if axis == rank - 1 else b.transpose(source, order)
    summed = result if axis == rank - 1 else b.like(result, b.get(turned).shape, f"{y.name}/sums")
    b.op(
        "FULLY_CONNECTED", [turned, w, bias], [summed], "FullyConnectedOptions",
        keepNumDims=True, fusedActivationFunction=0, weightsFormat=0,
    )  # fmt: skip
    if summed != result:
        b.transpose(summed, back, result)
    return Edit(gone, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "running_sum",
    "writes CUMSUM, in float between DEQUANTIZE and QUANTIZE too, as a FULLY_CONNECTED of ones",
    frozenset({"CUMSUM"}),
    _apply,
)
