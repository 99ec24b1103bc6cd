# SPDX-License-Identifier: Apache-2.0
"""Cosine attention: factors by head go to the queries, where the scores keep their accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, graph_of, opcodes, result, rewritten


def _unit(g: PlainGraph, x: int) -> int:
    """x * min(rsqrt(sum(x**2)), the most that the root's type holds), as Keras' normalize."""
    square = g.mul(x, x)
    last = g.value(x).ndim - 1
    total = g.value(square).sum(axis=last, keepdims=True)
    s = g.op("SUM", [square, g.indices(last)], total, **options("ReducerOptions", keepDims=True))
    r = g.rsqrt(s)
    t = g.tensors[r]
    top = g.constant(np.array(1.0))
    data = np.array(127, np.int8)
    g.tensors[top] = t.__class__("top", (), t.dtype, t.quantization, data)
    low = g.op("MINIMUM", [r, top], g.value(r), like=r, **options("MaximumMinimumOptions"))
    return g.mul(x, low)


def cosine(
    seed: int, factors: tuple[float, ...], for_all: float | None = None
) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, len(factors), 32, 16)))
    q, k = _unit(g, x), _unit(g, g.linear(x, 16))
    by_head = g.constant(np.array(factors).reshape(1, -1, 1, 1))
    scores = g.matmul(q, k, adj_y=True)
    if for_all is not None:
        scores = g.mul(scores, g.constant(np.array(for_all)))
    return g, x, g.matmul(g.softmax(g.mul(scores, by_head)), x)


def test_cosine_attention_is_fused() -> None:
    g, x, y = cosine(0, (6.0, 9.0, 4.0))
    found = outcome(g, x, y)
    assert found.codes["VitAttentionCore"] == 1
    assert found.codes["VitRmsNorm"] == 2
    assert found.fused_db > found.plain_db - 1
    assert not {"SUM", "RSQRT", "MINIMUM", "SOFTMAX"} & {
        leftover.name for leftover in found.report.leftovers
    }


@pytest.mark.parametrize("factors", [(6.0, -9.0), (5.0, 5.0)])
def test_what_one_factor_says_or_a_sign_changes_stays(factors: tuple[float, ...]) -> None:
    g, _, y = cosine(1, factors)
    moved = opcodes(rewritten(g, y, by="head_factor").graph)
    by_sign = min(factors) < 0
    assert (moved == opcodes(graph_of(g, y))) == by_sign


@pytest.mark.parametrize("for_all", [0.25, 1.0, 3.0, -0.5])
def test_a_factor_for_all_heads_goes_too_unless_it_turns_the_scores(for_all: float) -> None:
    """A learned temperature for each head, behind 1 / sqrt(d)."""
    g, x, y = cosine(4, (2.0, 3.0, 1.5), for_all)
    muls = [opcodes(graph).count("MUL") for graph in
            (graph_of(g, y), rewritten(g, y, by="head_factor").graph)]  # fmt: skip
    assert muls[0] - muls[1] == (for_all > 0)
    both = accuracy(g, x, y, by="head_factor")
    assert both.rewritten > both.plain - 1


def test_what_heads_say_is_weighted_behind_attention() -> None:
    """NormFormer's factor for each head is not moved to the softmax: the core is fused."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0, 1, (1, 2, 16, 8)))
    p = g.softmax(g.matmul(g.linear(x, 8), g.linear(x, 8), adj_y=True))
    by_head = g.constant(np.array([0.7, 1.2]).reshape(1, -1, 1, 1))
    found = outcome(g, x, g.mul(g.matmul(p, x), by_head))
    assert found.codes["VitAttentionCore"] == 1


def test_scores_keep_their_accuracy() -> None:
    g, x, y = cosine(2, (8.0, 1.0))
    both = accuracy(g, x, y, by="head_factor")
    assert both.rewritten > both.plain - 1


def test_a_limit_at_the_end_of_the_type_goes_and_another_stays() -> None:
    for value, name, stays in ((127, "MINIMUM", False), (-128, "MAXIMUM", False),
                               (126, "MINIMUM", True), (127, "MAXIMUM", True)):  # fmt: skip
        g = PlainGraph(np.random.default_rng(0))
        x = g.input(g.rng.normal(0, 1, (1, 4, 4)))
        h = g.linear(x, 4)
        t = g.tensors[h]
        limit = g.constant(np.array(1.0))
        data = np.array(value, np.int8)
        g.tensors[limit] = t.__class__("limit", (), t.dtype, t.quantization, data)
        y = g.op(name, [h, limit], g.value(h), like=h, **options("MaximumMinimumOptions"))
        z = g.linear(y, 3)
        graph = rewritten(g, z, by="limits").graph
        assert (name in opcodes(graph)) == stays
        np.testing.assert_array_equal(
            result(graph, g.quantized(x)), result(graph_of(g, z), g.quantized(x))
        )
