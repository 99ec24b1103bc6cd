# SPDX-License-Identifier: Apache-2.0
"""What a dead part of a network leaves in a file, in a form that every kernel computes.

Calibration gives a part that is next to nothing scales next to nothing. LiteRT runs that; TFLM
aborts, or lets sums overflow. What such operators compute can be said with other numbers.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from converter.tflite.model import Graph, Operator, Quantization, Tensor
from converter.tflite.quantization_rules import SOFTMAX_BITS, Operands, sums_fit

# Where the output channels of a layer's weights are.
_LAYERS = {"FULLY_CONNECTED": 0, "CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}


def with_living_ends(graph: Graph) -> Graph:
    """The graph with each such operator in the other form; others are left as they are."""
    tensors, operators = list(graph.tensors), list(graph.operators)
    readers = Counter([i for op in operators for i in op.inputs] + list(graph.outputs))
    for index, op in enumerate(operators):
        if op.opcode == "SOFTMAX" and len(op.inputs) == 1:
            operators[index] = _with_steps(tensors, op)
        elif _is_own(op, readers):
            _halve(tensors, op)
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _is_own(op: Operator, readers: Counter[int]) -> bool:
    """Whether it is a layer with weights and a bias that nothing else reads."""
    if op.opcode not in _LAYERS or len(op.inputs) != 3 or min(op.inputs) < 0:
        return False
    return all(readers[i] == 1 for i in op.inputs[1:])


def _with_steps(tensors: Sequence[Tensor], op: Operator) -> Operator:
    """A SOFTMAX whose steps are lost takes twice the least beta that leaves them.

    All its 256 steps together are less than 1e-5 then, as before: all of its results are alike.
    """
    x = tensors[op.inputs[0]]
    if x.quantization is None or len(x.quantization.scale) != 1 or x.dtype.kind not in "iu":
        return op
    scale, beta = float(x.quantization.scale[0]), float(getattr(op.options, "beta", 0.0))
    least = 1.0 / 2**SOFTMAX_BITS
    if x.dtype.itemsize != 1 or not 0.0 < scale * beta <= least or not 2 * least / scale < 1e38:
        return op
    options = copy.copy(op.options)
    options.beta = 2 * least / scale
    return dataclasses.replace(op, options=options)


def _halve(tensors: list[Tensor], op: Operator) -> None:
    """Channels whose bias alone nearly fills 32 bits: half as many steps, twice as large.

    A bias of 2**31 is at most 255 steps of the result, so that one of them is 2**23 of the sums'
    own; the weights' rounding moves a sum by less than one for each unit of its inputs. Weights of
    one scale for all channels have one for each then.
    """
    x, weights, bias = (tensors[i] for i in op.inputs)
    ends = Operands((x, weights, bias), (tensors[op.outputs[0]],), op.options)
    if weights.data is None or bias.data is None:
        return
    if weights.dtype != np.int8 or bias.dtype != np.int32:
        return
    axis, channels = _LAYERS[op.opcode], bias.size
    if axis >= len(weights.shape) or weights.shape[axis] != channels:
        return
    w, b = _by_channel(weights, axis, channels), _by_channel(bias, 0, channels)
    if w is None or b is None:
        return
    full = np.abs(bias.data.astype(np.int64)).reshape(-1) >= 1 << 30
    if not full.any() or sums_fit(ends) is None:
        return
    factors = np.where(full, 2.0, 1.0)
    along = [1] * len(weights.shape)
    along[axis] = channels
    data = np.rint(weights.data / factors.reshape(along)).astype(np.int8)
    sums = np.rint(bias.data.reshape(-1) / factors).astype(np.int32)
    halved = (
        dataclasses.replace(weights, data=data, quantization=_scaled(w, factors)),
        dataclasses.replace(bias, data=sums.reshape(bias.shape), quantization=_scaled(b, factors)),
    )
    if sums_fit(Operands((x, *halved), ends.outputs, op.options)) is None:
        tensors[op.inputs[1]], tensors[op.inputs[2]] = halved


def _by_channel(t: Tensor, axis: int, channels: int) -> Quantization | None:
    """A scale for each channel, whether there is one for all or not; None for other forms."""
    q = t.quantization
    if q is None or len(q.scale) not in (1, channels) or np.any(q.zero_point):
        return None
    if len(q.scale) > 1 and q.axis != axis:
        return None
    scale = np.broadcast_to(q.scale, channels)
    return Quantization(scale, np.zeros(channels, np.int64), axis if channels > 1 else 0)


def _scaled(q: Quantization, factors: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Quantization:
    return dataclasses.replace(q, scale=(q.scale * factors).astype(np.float32))
