# SPDX-License-Identifier: Apache-2.0
"""Whatever scale a file gives a bias, every runtime adds the integers that LiteRT adds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.tflite import Quantization, parse
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import equal_everywhere


def _with_scales(g: PlainGraph, factor: float | None) -> None:
    """Every bias with that many times its scale, or with none."""
    for i, t in enumerate(g.tensors):
        if t.name == "b":
            q = t.quantization
            assert q is not None
            scale = None if factor is None else Quantization(q.scale * factor, q.zero_point)
            g.tensors[i] = dataclasses.replace(t, quantization=scale)


@pytest.mark.parametrize("factor", [None, np.float32(0.25), np.float32(3)])
def test_a_bias_counts_in_units_of_its_sums(factor: float | None) -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 64)))
    y = g.linear(g.linear(x, 64, std=4.0), 8, std=4.0)
    _with_scales(g, factor)
    equal_everywhere(g, x, y)


def test_a_bias_of_two_layers_is_stored_for_each() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 16, 8)))
    y = g.linear(g.linear(x, 8, std=4.0), 8, std=4.0)
    first, second = g.operators
    g.operators[1] = dataclasses.replace(second, inputs=(*second.inputs[:2], first.inputs[2]))
    graph = parse(g.finish(y)).graph
    for op in graph.operators:
        layer = [graph.tensors[i].quantization for i in op.inputs]
        np.testing.assert_allclose(layer[2].scale, layer[0].scale * layer[1].scale, 1e-5)
    equal_everywhere(g, x, y)
