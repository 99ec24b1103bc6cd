# SPDX-License-Identifier: Apache-2.0
"""What other weights do to a network's outputs: the float network with the ones and the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.fuse.gate.plain import PlainGraph
from converter.fuse.gate.probes import Feeds
from converter.tflite import Graph, GraphView

Values = dict[int, NDArray[np.float32]]


class Outputs:
    """The float network's values for some probes.

    Args:
      graph: the plain graph.
      feeds: its inputs.
      most: how many of them.
    """

    def __init__(self, graph: Graph, feeds: Feeds, most: int) -> None:
        self._graph = graph
        plain = PlainGraph(GraphView(graph))
        self._values: list[Values] = []
        for number in range(most):
            values: Values = dict(feeds.values(number))
            plain.run(range(len(graph.operators)), values)
            self._values.append(values)

    def noise(self, other: Graph, first: int = 0) -> float:
        """Energy of the difference of the outputs over that of the outputs.

        Args:
          other: the graph with other constants.
          first: the first operator that has them.
        """
        plain = PlainGraph(GraphView(other))
        differences, powers = 0.0, 0.0
        for values in self._values:
            changed = dict(values)
            plain.run(range(first, len(other.operators)), changed)
            for tensor in self._graph.outputs:
                differences += _energy(changed[tensor] - values[tensor])
                powers += _energy(values[tensor])
        return differences / max(powers, 1e-30)


def _energy(values: NDArray[np.float32]) -> float:
    return float(np.square(values.astype(np.float64)).sum())


def decibels(noise: float) -> float:
    """SQNR of a noise over its signal."""
    return float(-10.0 * np.log10(max(noise, 1e-30)))
