# SPDX-License-Identifier: Apache-2.0
"""Float operators between DEQUANTIZE and QUANTIZE, as quantizers of PyTorch leave them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tests.converter.fuse.plain_graph import PlainGraph

Build = Callable[..., int]  # (graph, float tensor, ...) -> float tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Island:
    """An island that is the whole graph.

    Attributes:
      xs, y: its int8 ends.
    """

    g: PlainGraph
    xs: tuple[int, ...]
    y: int


def in_float(g: PlainGraph, build: Build, *integers: int) -> int:
    """Appends DEQUANTIZE of the int8 tensors, what `build` makes of them in float, and QUANTIZE."""
    first = len(g.tensors)
    reals = [g.unary("DEQUANTIZE", x, g.value(x)) for x in integers]
    result = build(g, *reals)
    g.in_float(first)
    return g.unary("QUANTIZE", result, g.value(result))


def island(build: Build, *shapes: tuple[int, ...], seed: int = 0) -> Island:
    """Inputs of these shapes, each with a scale of its own, and the island between."""
    g = PlainGraph(np.random.default_rng(seed))
    xs = tuple(g.input(g.rng.normal(0, g.rng.uniform(0.5, 2.0), shape)) for shape in shapes)
    return Island(g, xs, in_float(g, build, *xs))
