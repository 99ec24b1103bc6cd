# SPDX-License-Identifier: Apache-2.0
"""What depends on constants alone becomes the integers that the reference computes from them."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_latent_tokens_are_computed_once(seed: int) -> None:
    """A layer, its norm and a product of constants; what meets the input stays."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, 4, 8)))
    latent = g.layer_norm(g.linear(g.constant(g.rng.normal(0, 1, (1, 4, 6))), 8))
    y = g.add(x, g.mul(latent, latent))
    graph = rewritten(g, y, by="constant_results").graph
    assert opcodes(graph) == ["ADD"]
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    inputs = g.quantized(x)
    a, b = (
        open_runtime("reference", serialize(Model(made))).run(inputs)[0] for made in (graph, plain)
    )
    assert (a == b).all()


def test_what_stays() -> None:
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4)))
    total = g.add(g.constant(g.rng.normal(0, 1, (1, 4))), g.constant(g.rng.normal(0, 1, 4)))
    y = g.add(x, total)
    by = "constant_results"
    assert opcodes(rewritten(g, y, total, by=by).graph) == ["ADD", "ADD"]  # an output
    assert opcodes(rewritten(g, y, by=by).graph) == ["ADD"]
    wide = [g.constant(g.rng.normal(0, 1, shape)) for shape in ((300, 1), (1, 300))]
    z = g.add(g.mul(*wide), g.input(g.rng.normal(0, 1, (300, 300))))
    assert "MUL" in opcodes(rewritten(g, z, by=by).graph)  # 90 KB of 600 bytes
    assert opcodes(graph_of(g, z))[-2:] == ["MUL", "ADD"]


def test_functions_in_float_too() -> None:
    """exp(0) of a softmax over one token, which the compiled runtime has in integers only."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4)))
    power = g.unary("EXP", g.constant(np.array([0.0, 0.5, 1.0, -1.0])), np.exp([0, 0.5, 1.0, -1]))
    g.in_float(0)
    y = g.mul(x, power)
    graph = rewritten(g, y, by="constant_results").graph
    assert opcodes(graph) == ["MUL"]
    got = graph.tensors[graph.operators[0].inputs[1]]
    np.testing.assert_allclose(got.real(), np.exp([0, 0.5, 1.0, -1]), atol=0.02)


def test_integers_before_products_in_float_stay_for_an_attention_core_to_read() -> None:
    g = PlainGraph(np.random.default_rng(1))
    q = g.constant(g.rng.normal(0, 1, (2, 3, 4)))
    x = g.input(g.rng.normal(0, 1, (2, 5, 4)))
    first = len(g.tensors)
    real = g.unary("DEQUANTIZE", q, g.value(q))
    y = g.matmul(real, g.unary("DEQUANTIZE", x, g.value(x)), adj_y=True)
    g.in_float(first)
    graph = rewritten(g, y, by="constant_results").graph
    assert opcodes(graph) == ["DEQUANTIZE", "DEQUANTIZE", "BATCH_MATMUL"]
