# SPDX-License-Identifier: Apache-2.0
"""Ranges of float tensors on inputs that the user gives: least and greatest number of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.gate.plain import PlainGraph, rounding
from converter.fuse.islands.intervals import RealInterval
from converter.fuse.op_semantics import Array
from converter.tflite import Tensor


class _Extremes:
    """What a graph's float tensors were, as a form of its values."""

    def __init__(self) -> None:
        self.found: dict[int, RealInterval | None] = {}

    def __call__(self, index: int, tensor: Tensor, real: Array) -> Array:
        if tensor.dtype == np.float32:
            interval = RealInterval.of(real)
            old = self.found.get(index, interval)
            self.found[index] = None if interval is None or old is None else interval.hull(old)
        return rounding(index, tensor, real)


def observed(graph: PlainGraph, feeds: Sequence[Mapping[int, Array]]) -> dict[int, RealInterval]:
    """Runs the graph on inputs, its integers rounded.

    Args:
      feeds: real values of the graph's inputs.

    Returns:
      Ranges of its float tensors; those that were not finite are left out.

    Raises:
      NoMatchError: an operator that cannot be evaluated.
    """
    extremes = _Extremes()
    for values in feeds:
        graph.results((), values, extremes)
    return {tensor: i for tensor, i in extremes.found.items() if i is not None}


def observed_or_none(
    graph: PlainGraph, feeds: Sequence[Mapping[int, Array]]
) -> dict[int, RealInterval] | None:
    """`observed`; None where the graph cannot be evaluated."""
    try:
        return observed(graph, feeds)
    except NoMatchError:
        return None
