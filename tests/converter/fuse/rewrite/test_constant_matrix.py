# SPDX-License-Identifier: Apache-2.0
"""Products with one constant matrix are layers, whichever stands first and however it is turned."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.checks import run_litert
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

_CASES = [(first, x, y) for first in (False, True) for x in (False, True) for y in (False, True)]


def _graph(first: bool, adj_x: bool, adj_y: bool, batches: int = 1) -> tuple[PlainGraph, int, int]:
    """x [1, 6, 8] and a constant [6 or 8, 5], or [5, 6 or 8], turned as the flags want them."""
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0.3, 1, (1, 6, 8)))
    turned = adj_y if first else adj_x
    inner = (8 if turned else 6) if first else (6 if turned else 8)
    shape = (5, inner) if (not adj_x if first else adj_y) else (inner, 5)
    value = g.rng.normal(0, 1, (batches, *shape))
    value[:, 0, 0] = -value.min()  # about as much above 0 as below
    c = g.constant(np.clip(value, value.min(), -value.min() * 0.99))
    return g, x, g.matmul(c, x, adj_x, adj_y) if first else g.matmul(x, c, adj_x, adj_y)


@pytest.mark.parametrize(("first", "adj_x", "adj_y"), _CASES)
def test_a_layer(first: bool, adj_x: bool, adj_y: bool) -> None:
    g, x, y = _graph(first, adj_x, adj_y)
    normal = rewritten(g, y, by="constant_matrix").graph
    assert "BATCH_MATMUL" not in opcodes(normal)
    real = run_litert(serialize(Model(normal)), g.quantized(x)[None])[0].astype(float)
    t = g.tensors[y]
    np.testing.assert_allclose((real - t.zero_point) * t.scale, g.value(y), atol=6 * t.scale)
    assert opcodes(graph_of(g, y)) == ["BATCH_MATMUL"]


def test_every_runtime() -> None:
    g, x, y = _graph(True, False, False)
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    want = open_runtime("reference", fused).run(g.quantized(x))[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(g.quantized(x))[0], want)


def test_scores_by_place_stay_a_product() -> None:
    """One head: its places are one matrix, and part of the keys."""
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0, 1, (1, 6, 8)))
    q, k = g.linear(x, 4), g.linear(x, 4)
    places = g.constant(g.rng.normal(0, 1, (1, 6, 4)))
    y = g.add(g.matmul(q, k, adj_y=True), g.matmul(q, places, adj_y=True))
    assert opcodes(rewritten(g, y, by="constant_matrix").graph).count("BATCH_MATMUL") == 2


def test_a_matrix_a_batch_stays() -> None:
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0, 1, (1, 2, 6, 8)))
    y = g.matmul(x, g.constant(g.rng.normal(0, 1, (1, 2, 8, 5))))
    assert opcodes(rewritten(g, y, by="constant_matrix").graph) == ["BATCH_MATMUL"]
