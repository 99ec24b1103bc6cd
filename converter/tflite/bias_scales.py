# SPDX-License-Identifier: Apache-2.0
"""A layer's bias counts in units of input times weights, whatever scale the file gives it.

Kernels add its integers to their sums and never look at its scale. LiteRT compares that with the
product, but against 2 % of the output's scale: a coarse output takes a bias of twice the scale, or
of none. What it computes then is what the integers say, so the scale is made to say the same.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.tflite.model import Graph, Operator, Quantization, Tensor

_CLOSE = 1e-5  # of the product, which files hold in float32
# Where the input, the weights and the bias of a layer are.
_LAYERS = {
    "FULLY_CONNECTED": (0, 1, 2),
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}


def with_bias_scales(graph: Graph) -> Graph:
    """The graph with the scales that its layers give their biases.

    A bias that layers of different units share, or that something else reads, is stored again.
    """
    tensors, operators = list(graph.tensors), list(graph.operators)
    readers = [i for op in graph.operators for i in op.inputs] + list(graph.outputs)
    for index, op in enumerate(graph.operators):
        scales = _product(graph, op)
        if scales is None:
            continue
        at = op.inputs[_LAYERS[op.opcode][2]]
        bias = graph.tensors[at]
        if _is_near(bias, scales):
            continue
        zeros = np.zeros(len(scales), np.int64)
        counted = dataclasses.replace(bias, quantization=Quantization(scales, zeros))
        if readers.count(at) == 1:
            tensors[at] = counted
            continue
        place = {_LAYERS[op.opcode][2]: len(tensors)}
        inputs = tuple(place.get(i, tensor) for i, tensor in enumerate(op.inputs))
        operators[index] = dataclasses.replace(op, inputs=inputs)
        tensors.append(counted)
    return dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _product(graph: Graph, op: Operator) -> NDArray[np.float32] | None:
    """The unit of each of a layer's sums, one where all have the same; None for others."""
    places = _LAYERS.get(op.opcode)
    if places is None or len(op.inputs) <= places[2] or op.inputs[places[2]] < 0:
        return None
    x, w, b = (graph.tensors[op.inputs[i]] for i in places)
    known = x.quantization is not None and w.quantization is not None
    if not known or b.data is None or b.dtype.kind != "i":
        return None
    return _scales(x)[:1] * _scales(w)


def _scales(tensor: Tensor) -> NDArray[np.float32]:
    assert tensor.quantization is not None
    return tensor.quantization.scale


def _is_near(bias: Tensor, scales: NDArray[np.float32]) -> bool:
    q = bias.quantization
    return q is not None and bool(np.all(np.abs(q.scale - scales) <= _CLOSE * scales))
