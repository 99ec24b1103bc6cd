# SPDX-License-Identifier: Apache-2.0
"""Attention over one key gives the value: of int8, and in float as PyTorch takes it apart."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.islands import in_float, island
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "single_key"


def _attention(g: PlainGraph, queries: int, keys: int, turned: bool) -> tuple[int, list[int]]:
    q, k = (g.input(g.rng.normal(size=(2, n, 4))) for n in (queries, keys))
    v = g.input(g.rng.normal(size=(2, 6, keys) if turned else (2, keys, 6)))
    return g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v, adj_y=turned), [q, k, v]


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("turned", [False, True])
def test_each_query_gets_the_value(queries: int, turned: bool) -> None:
    g = PlainGraph(np.random.default_rng(queries))
    y, ends = _attention(g, queries, 1, turned)
    graph = rewritten(g, y, by=RULE).graph
    assert opcodes(graph).count("BATCH_MATMUL") == 1  # of the scores, which nobody reads now
    inputs = [g.quantized(i) for i in ends]
    content = serialize(Model(graph))
    (got,) = open_runtime("reference", content).run(*inputs)
    v = g.value(ends[2]).reshape(2, 1, 6)
    want = np.broadcast_to(v, (2, queries, 6))
    scale = (g.tensors[y].scale + g.tensors[ends[2]].scale) / 2
    real = (got.astype(float) - g.tensors[y].zero_point) * g.tensors[y].scale
    assert np.abs(real - want).max() <= 1.01 * scale


def test_two_keys_stay() -> None:
    g = PlainGraph(np.random.default_rng(0))
    y, _ = _attention(g, 3, 2, False)
    graph = graph_of(g, y)
    assert opcodes(rewritten(g, y, by=RULE).graph) == opcodes(graph)


def _taken_apart(g: PlainGraph, q: int, k: int, v: int) -> int:
    """PyTorch's scaled_dot_product_attention: no sum, for there is one key."""
    s = g.matmul(q, k, adj_y=True)
    opts = options("ReducerOptions", keepDims=True)
    largest = g.op("REDUCE_MAX", [s, g.indices(2)], g.value(s), **opts)
    e = g.unary("EXP", g.sub(s, largest), np.ones_like(g.value(s)))
    return g.matmul(g.div(e, e), v)


def test_taken_apart_in_float_it_runs_everywhere() -> None:
    g = PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(size=(2, 1, 8)))
    q, k, v = (g.linear(x, 8) for _ in range(3))
    y = in_float(g, _taken_apart, q, k, v)
    result = fuse_model(g.finish(g.linear(y, 4)))
    assert not {"EXP", "DIV", "BATCH_MATMUL"} & {left.name for left in result.report.leftovers}
    content = plan_model(result.model_bytes).model_bytes
    q8 = g.quantized(x)
    (want,) = open_runtime("reference", content).run(q8)
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, content).run(q8)[0], want)


def test_a_quotient_of_something_else_stays() -> None:
    """0 / 0 is no 1: only an exponential is never 0."""

    def build(g: PlainGraph, s: int, v: int) -> int:
        return g.matmul(g.div(s, s), v)

    made = island(build, (2, 3, 1), (2, 1, 6))
    assert "DIV" in opcodes(rewritten(made.g, made.y, by=RULE).graph)
    assert "BATCH_MATMUL" in opcodes(rewritten(made.g, made.y, by=RULE).graph)
