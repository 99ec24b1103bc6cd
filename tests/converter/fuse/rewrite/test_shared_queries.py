# SPDX-License-Identifier: Apache-2.0
"""q.k + q.p as one product, and attention with such scores as one operator."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten

_HEADS, _TOKENS, _WIDTH = 2, 9, 8


def _heads(g: PlainGraph, x: int) -> int:
    y = g.reshape(g.linear(x, _HEADS * _WIDTH), 1, _TOKENS, _HEADS, _WIDTH)
    return g.transpose(y, 0, 2, 1, 3)


def _graph(turned: bool, constant: bool = True) -> tuple[PlainGraph, int, int]:
    """softmax(q.k + q.p).v; p is learnt, or computed; it is stored turned or not."""
    g = PlainGraph(np.random.default_rng(6))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    q, k, v = (_heads(g, x) for _ in range(3))
    p = g.rng.normal(0, 0.5, (1, _HEADS, _TOKENS, _WIDTH))
    places = g.constant(p.swapaxes(2, 3) if turned else p) if constant else _heads(g, x)
    scores = g.add(g.matmul(q, k, adj_y=True), g.matmul(q, places, adj_y=not turned))
    context = g.matmul(g.softmax(scores), v)
    tokens = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, _TOKENS, _HEADS * _WIDTH)
    return g, x, g.linear(tokens, 12)


@pytest.mark.parametrize(("turned", "constant"), [(False, True), (True, True), (False, False)])
def test_one_product(turned: bool, constant: bool) -> None:
    g, x, y = _graph(turned, constant)
    normal = rewritten(g, y, by="shared_queries").graph
    assert opcodes(normal).count("BATCH_MATMUL") == 2
    found = accuracy(g, x, y, by="shared_queries")
    assert found.rewritten >= found.plain - 1.0


def test_attention_by_place_in_every_runtime() -> None:
    g, x, y = _graph(turned=True)
    fused = fuse_model(g.finish(y))
    assert "VitAttentionCore" in [f.custom_code for f in fused.report.fused]
    content = plan_model(fused.model_bytes).model_bytes
    want = open_runtime("reference", content).run(g.quantized(x))[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, content).run(g.quantized(x))[0], want)


def test_other_queries_stay() -> None:
    g = PlainGraph(np.random.default_rng(6))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 12)))
    q, k, r = (_heads(g, x) for _ in range(3))
    y = g.add(g.matmul(q, k, adj_y=True), g.matmul(r, k, adj_y=True))
    assert opcodes(rewritten(g, y, by="shared_queries").graph).count("BATCH_MATMUL") == 2
