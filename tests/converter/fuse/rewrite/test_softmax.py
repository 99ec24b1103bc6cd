# SPDX-License-Identifier: Apache-2.0
"""A softmax in pieces is found by what it computes, and is no less accurate as one operator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse import fuse_model
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, graph_of, opcodes, rewritten

RULE = "softmax"


def reduce(g: PlainGraph, opcode: str, x: int, axes: tuple[int, ...]) -> int:
    function = {"REDUCE_MAX": np.max, "SUM": np.sum}[opcode]
    value = function(g.value(x), axis=axes, keepdims=True)
    like = x if opcode == "REDUCE_MAX" else None
    inputs = [x, g.indices(*axes)]
    return g.op(opcode, inputs, value, like=like, **options("ReducerOptions", keepDims=True))


def exp(g: PlainGraph, x: int) -> int:
    return g.unary("EXP", x, np.exp(g.value(x)), **options("ExpOptions"))


def quotient(g: PlainGraph, x: int, axes: tuple[int, ...], shift: bool = True) -> int:
    """exp(x - max) / sum."""
    e = exp(g, g.sub(x, reduce(g, "REDUCE_MAX", x, axes)) if shift else x)
    s = reduce(g, "SUM", e, axes)
    return g.op("DIV", [e, s], g.value(e) / g.value(s), **options("DivOptions"))


def log_sum_exp(g: PlainGraph, x: int, axes: tuple[int, ...]) -> int:
    """exp(x - logsumexp(x)), as Keras writes a softmax over several axes."""
    top = reduce(g, "REDUCE_MAX", x, axes)
    s = reduce(g, "SUM", exp(g, g.sub(x, top)), axes)
    log = g.unary("LOG", s, np.log(g.value(s)))
    return exp(g, g.sub(x, g.add(log, top)))


def scores(shape: tuple[int, ...]) -> tuple[PlainGraph, int]:
    g = PlainGraph(np.random.default_rng(3))
    return g, g.input(g.rng.normal(0, 1.5, shape))


@pytest.mark.parametrize("axes", [(3,), (2, 3)])
@pytest.mark.parametrize("spelling", [quotient, log_sum_exp])
def test_pieces_become_one(spelling, axes: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    g, x = scores((1, 2, 3, 8))
    y = spelling(g, x, axes)
    names = opcodes(rewritten(g, y, by=RULE).graph)
    assert [n for n in names if n != "RESHAPE"] == ["SOFTMAX", "QUANTIZE"]
    # LiteRT has no int8 EXP, LOG or DIV of this kind to compare with: real values are the truth.
    graph = rewritten(g, y, by=RULE).graph
    g.tensors, g.operators = list(graph.tensors), list(graph.operators)
    assert accuracy(g, x, y, "identity").plain > 35


def test_without_the_maximum_too() -> None:
    g, x = scores((1, 4, 8))
    y = quotient(g, x, (2,), shift=False)
    assert "SOFTMAX" in opcodes(rewritten(g, y, by=RULE).graph)


def test_other_functions_stay() -> None:
    g, x = scores((1, 4, 8))
    over_rows = quotient(g, x, (1,))  # not the last axis
    assert "SOFTMAX" not in opcodes(rewritten(g, over_rows, by=RULE).graph)
    g, x = scores((1, 4, 8))
    e = exp(g, x)
    s = reduce(g, "SUM", exp(g, g.mul(x, g.constant(np.array(0.5)))), (2,))
    y = g.op("DIV", [e, s], g.value(e) / g.value(s), **options("DivOptions"))
    assert "SOFTMAX" not in opcodes(rewritten(g, y, by=RULE).graph)


def test_pieces_that_others_read_stay() -> None:
    g, x = scores((1, 4, 8))
    y = quotient(g, x, (2,))
    total = next(o for o in g.operators if o.opcode == "SUM").outputs[0]
    assert "SOFTMAX" not in opcodes(rewritten(g, y, total, by=RULE).graph)


def test_other_types_stay() -> None:
    g, x = scores((1, 4, 8))
    y = quotient(g, x, (2,))
    g.tensors[y] = dataclasses.replace(g.tensors[y], dtype=np.dtype(np.int16))
    assert len(rewritten(g, y, by=RULE).graph.operators) == len(graph_of(g, y).operators)


def test_attention_with_a_softmax_in_pieces_is_fused() -> None:
    heads, tokens, head_dim, width = 2, 6, 4, 8
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0, 1, (1, tokens, width)))
    h = g.layer_norm(x)
    q, k, v = (
        g.transpose(
            g.reshape(g.linear(h, heads * head_dim), 1, tokens, heads, head_dim), 0, 2, 1, 3
        )
        for _ in range(3)
    )
    s = g.mul(g.matmul(q, k, adj_y=True), g.constant(np.array(head_dim**-0.5)))
    p = g.reshape(
        log_sum_exp(g, g.reshape(s, 1, heads, tokens, 2, 3), (3, 4)), 1, heads, tokens, tokens
    )
    c = g.reshape(g.transpose(g.matmul(p, v), 0, 2, 1, 3), 1, tokens, heads * head_dim)
    y = g.add(x, g.linear(c, width))
    report = fuse_model(g.finish(y)).report
    assert [op.custom_code for op in report.fused] == ["VitAttention"]
    assert report.leftovers == ()
