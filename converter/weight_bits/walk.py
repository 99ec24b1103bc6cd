# SPDX-License-Identifier: Apache-2.0
"""Runs a float network and one with other weights side by side, from layer to layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from converter.fuse.gate.plain import PlainGraph
from converter.fuse.gate.probes import Feeds
from converter.tflite import Graph, GraphView, Operator
from converter.weight_bits.layers import WeightLayer
from converter.weight_bits.moments import Moments

_SAME = 0  # of the schema's Padding

Values = dict[int, NDArray[np.float32]]


class _Network:
    """One of the two: the values of all probes that later operators still read."""

    def __init__(self, graph: Graph, feeds: Feeds, probes: Sequence[int]) -> None:
        self._done = 0
        self._values: list[Values] = [dict(feeds.values(number)) for number in probes]
        self._last = {t: i for i, op in enumerate(graph.operators) for t in op.inputs}

    def inputs(self, graph: Graph, layer: WeightLayer) -> Iterable[NDArray[np.float32]]:
        """What the layer reads, probe by probe; operators before it run with the graph's weights.

        Raises:
          NoMatchError: one of them cannot be evaluated.
        """
        plain, before = PlainGraph(GraphView(graph)), range(self._done, layer.op)
        self._done = layer.op
        for values in self._values:
            plain.run(before, values)
            for tensor in [t for t in values if self._last.get(t, -1) < layer.op]:
                del values[tensor]
            yield plain.value(values, layer.x)


class SideBySide:
    """Two networks on the same probes: the float one, and the same with other weights.

    Args:
      graph: the plain graph.
      feeds, probes: its inputs, and which of them.
    """

    def __init__(self, graph: Graph, feeds: Feeds, probes: Sequence[int]) -> None:
        self._graph = graph
        self._float = _Network(graph, feeds, probes)
        self._changed = _Network(graph, feeds, probes)

    def moments(self, layer: WeightLayer, changed: Graph) -> Moments:
        """Of what a layer reads; layers come in order.

        Args:
          changed: the graph whose layers before this one have their new weights.
        """
        found, view = Moments.none(layer.values.shape[1]), GraphView(self._graph)
        pairs = zip(
            self._float.inputs(self._graph, layer),
            self._changed.inputs(changed, layer),
            strict=True,
        )
        for x, y in pairs:
            rows = [_rows(view.op(layer.op), values, view, layer) for values in (x, y)]
            if rows[0] is not None and rows[1] is not None:
                found.add(rows[0], rows[1])
        return found


def moments_of(
    graph: Graph, layers: Sequence[WeightLayer], feeds: Feeds, probes: Sequence[int]
) -> Mapping[int, Moments]:
    """By operator, in the float network alone; without a layer whose input no probe reached.

    Raises:
      NoMatchError: an operator of the network cannot be evaluated.
    """
    network, view = _Network(graph, feeds, probes), GraphView(graph)
    found: dict[int, Moments] = {}
    for layer in layers:
        moments = Moments.none(layer.values.shape[1])
        for values in network.inputs(graph, layer):
            rows = _rows(view.op(layer.op), values, view, layer)
            if rows is not None:
                moments.add(rows, rows)
        if moments.count:
            found[layer.op] = moments
    return found


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
