# SPDX-License-Identifier: Apache-2.0
"""Scores less a constant where a key is hidden, as Keras' Attention has it, are a bias."""

from __future__ import annotations

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import opcodes, result, rewritten

_TOKENS = 9


def _graph(number: float, less: bool, hidden_first: bool) -> tuple[PlainGraph, int, int]:
    """Causal attention of one head: SELECT of the scores and of the scores less (plus) a number."""
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0, 1, (1, _TOKENS, 8)))
    scores = g.matmul(g.linear(x, 8), g.linear(x, 8), adj_y=True)
    constant = g.constant(np.array(number))
    moved = g.sub(scores, constant) if less else g.add(scores, constant)
    hidden = np.triu(np.ones((1, _TOKENS, _TOKENS), bool), 1)
    value = np.where(hidden, g.value(moved), g.value(scores))
    condition = g.condition(hidden if hidden_first else ~hidden)
    pair = [moved, scores] if hidden_first else [scores, moved]
    total = g.op("SELECT_V2", [condition, *pair], value, **options("SelectV2Options"))
    return g, x, g.matmul(g.softmax(total), g.linear(x, 8))


@pytest.mark.parametrize(("number", "less"), [(40.0, True), (-40.0, False)])
@pytest.mark.parametrize("hidden_first", [False, True])
def test_causal_attention(number: float, less: bool, hidden_first: bool) -> None:
    g, x, y = _graph(number, less, hidden_first)
    normal = rewritten(g, y, by="select_of_sums").graph
    assert "SELECT_V2" not in opcodes(normal)
    t = g.tensors[y]
    real = (result(normal, g.quantized(x)).astype(float) - t.zero_point) * t.scale
    assert np.abs(real - g.value(y)).max() < 0.1 * np.abs(g.value(y)).max()
    fused = fuse_model(g.finish(y))
    assert "VitAttentionCore" in [f.custom_code for f in fused.report.fused]
    content = plan_model(fused.model_bytes).model_bytes
    want = open_runtime("reference", content).run(g.quantized(x))[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, content).run(g.quantized(x))[0], want)


def test_another_tensor_stays() -> None:
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0, 1, (1, 4, 8)))
    moved, other = g.add(x, g.constant(np.array(2.0))), g.linear(x, 8)
    truths = g.rng.integers(0, 2, (1, 4, 8)).astype(bool)
    value = np.where(truths, g.value(moved), g.value(other))
    opts = options("SelectV2Options")
    y = g.op("SELECT_V2", [g.condition(truths), moved, other], value, **opts)
    assert "SELECT_V2" in opcodes(rewritten(g, y, by="select_of_sums").graph)
