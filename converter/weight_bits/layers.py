# SPDX-License-Identifier: Apache-2.0
"""Layers of a plain graph whose weights can be rounded to 4 bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Graph
from tflm_custom_ops.ops.layouts import MAX4

_LAYERS = ("FULLY_CONNECTED", "CONV_2D")


@dataclasses.dataclass(frozen=True, eq=False)
class WeightLayer:
    """A linear layer or a convolution with symmetric int8 weights.

    Attributes:
      op: operator index.
      name: of its result.
      x, weights: tensor indices.
      bias: tensor index, -1 for none.
      values: real weights, float64 [channels, inputs].
      unit: of the input's numbers.
      size: weights.
    """

    op: int
    name: str
    x: int
    weights: int
    bias: int
    values: NDArray[np.float64]
    unit: float

    @property
    def size(self) -> int:
        return int(self.values.size)

    @property
    def saved_bytes(self) -> int:
        """Of flash, by 4 bits instead of 8."""
        n, k = (int(size) for size in self.values.shape)
        even = (k + 1) // 2 * 2
        return (n + 1) // 2 * even * 2 - (n + 3) // 4 * even * 2


def layers_of(graph: Graph, ops: Iterable[int]) -> tuple[WeightLayer, ...]:
    """Those among some operators, in order; layers that have 4 bits already are left out."""
    found = (_layer(graph, op) for op in sorted(ops))
    return tuple(layer for layer in found if layer is not None)


def _layer(graph: Graph, index: int) -> WeightLayer | None:
    op = graph.operators[index]
    if op.opcode not in _LAYERS:
        return None
    x, w = (graph.tensors[i] for i in op.inputs[:2])
    q = w.quantization
    if w.data is None or w.dtype != np.int8 or q is None or np.any(q.zero_point) or not w.size:
        return None
    if x.dtype != np.int8 or x.quantization is None or len(x.quantization.scale) != 1:
        return None
    if (len(q.scale) > 1 and q.axis != 0) or int(np.abs(w.data.astype(np.int16)).max()) <= MAX4:
        return None
    bias = op.inputs[2] if len(op.inputs) > 2 else -1
    if bias >= 0 and graph.tensors[bias].data is None:
        return None
    values = w.real().reshape(w.shape[0], -1)
    name = graph.tensors[op.outputs[0]].name
    return WeightLayer(index, name, op.inputs[0], op.inputs[1], bias, values, x.scale)
