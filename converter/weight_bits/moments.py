# SPDX-License-Identifier: Apache-2.0
"""Mean and covariance of what layers read, in the float network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.fuse.gate.plain import PlainGraph
from converter.fuse.gate.probes import Feeds
from converter.tflite import GraphView, Operator
from converter.weight_bits.layers import WeightLayer

Array = NDArray[np.float64]

_SAME = 0  # of the schema's Padding


@dataclasses.dataclass(eq=False)
class Moments:
    """Sums over the rows that a layer multiplies.

    Attributes:
      count: rows.
      total: [inputs].
      products: [inputs, inputs].
    """

    count: int
    total: Array
    products: Array

    @classmethod
    def none(cls, inputs: int) -> Moments:
        """Before the first row."""
        return cls(0, np.zeros(inputs), np.zeros((inputs, inputs)))

    def add(self, rows: NDArray[np.float32]) -> None:
        """Rows [rows, inputs]."""
        self.count += len(rows)
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.products += (rows.T @ rows).astype(np.float64)

    @property
    def mean(self) -> Array:
        """Of each input."""
        return self.total / max(1, self.count)

    @property
    def covariance(self) -> Array:
        """Of the inputs."""
        found = self.products / max(1, self.count) - np.outer(self.mean, self.mean)
        return np.asarray((found + found.T) / 2)


def moments_of(
    view: GraphView, layers: Sequence[WeightLayer], feeds: Feeds, probes: Iterable[int]
) -> Mapping[int, Moments]:
    """By operator; without a layer whose input no probe reached.

    Raises:
      NoMatchError: an operator of the network cannot be evaluated.
    """
    plain = PlainGraph(view)
    found = {layer.op: Moments.none(layer.values.shape[1]) for layer in layers}
    for number in probes:
        values = dict(feeds.values(number))
        plain.run(range(len(view.graph.operators)), values)
        for layer in layers:
            rows = _rows(view.op(layer.op), plain.value(values, layer.x), view, layer)
            if rows is not None:
                found[layer.op].add(rows)
    return {op: moments for op, moments in found.items() if moments.count}


def _rows(
    op: Operator, x: NDArray[np.float32], view: GraphView, layer: WeightLayer
) -> NDArray[np.float32] | None:
    """What the layer multiplies with its weights, [rows, inputs]."""
    if op.opcode == "FULLY_CONNECTED":
        return x.reshape(-1, layer.values.shape[1])
    options, (_, height, width, channels) = op.options, view.tensor(layer.weights).shape
    if (options.dilationHFactor, options.dilationWFactor) != (1, 1) or x.shape[3] != channels:
        return None
    strides = (int(options.strideH), int(options.strideW))
    if options.padding == _SAME:
        sizes = zip(x.shape[1:3], (height, width), strides, strict=True)
        margins = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in sizes]
        pads = [(0, 0), *((m // 2, m - m // 2) for m in margins), (0, 0)]
        x = np.pad(x, pads)
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(1, 2))
    taken = windows[:, :: strides[0], :: strides[1]].transpose(0, 1, 2, 4, 5, 3)
    return np.ascontiguousarray(taken, np.float32).reshape(-1, layer.values.shape[1])
