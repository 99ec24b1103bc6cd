# SPDX-License-Identifier: Apache-2.0
"""Products head by head become one, to the last bit, and attention written that way is fused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse.rewrite import RULES, normalize
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten

RULE = "joined_products"
HEADS, TOKENS, HEAD_DIM, WIDTH = 3, 5, 4, 6


def one_type(g: PlainGraph, tensors: list[int]) -> None:
    """Gives all of them the widest scale, as a join demands."""
    widest = max(tensors, key=lambda t: g.tensors[t].scale)
    q = g.tensors[widest].quantization
    for t in tensors:
        g.tensors[t] = dataclasses.replace(g.tensors[t], quantization=q)


def head(g: PlainGraph, t: int, h: int, kind: str) -> int:
    """Head h of [1, heads, tokens, head_dim] as [tokens, head_dim] or [1, tokens, head_dim]."""
    size = (1, 1, *g.value(t).shape[2:])
    part = g.slice(t, (0, h, 0, 0), size)
    return g.reshape(part, *size[1 if kind == "matmul" else 2 :])


def product(g: PlainGraph, a: int, b: int, kind: str, transposed: bool) -> int:
    if kind == "matmul":
        return g.matmul(a, b, adj_y=transposed)
    b = b if transposed else g.transpose(b, 1, 0)
    opts = options("FullyConnectedOptions", keepNumDims=True)
    return g.op("FULLY_CONNECTED", [a, b], g.value(a) @ g.value(b).T, **opts)


def by_heads(g: PlainGraph, a: int, b: int, kind: str, transposed: bool, axis: int = 0) -> int:
    """The product of two tensors [1, heads, ...], one head after the other, packed."""
    parts = [
        product(g, head(g, a, h, kind), head(g, b, h, kind), kind, transposed) for h in range(HEADS)
    ]
    one_type(g, parts)
    return g.pack(parts, axis)


def projections(g: PlainGraph, h: int) -> list[int]:
    inner = HEADS * HEAD_DIM
    shape = (1, TOKENS, HEADS, HEAD_DIM)
    return [g.transpose(g.reshape(g.linear(h, inner), *shape), 0, 2, 1, 3) for _ in range(3)]


@pytest.mark.parametrize("kind", ["matmul", "dense"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_product(kind: str, transposed: bool, axis: int) -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, TOKENS, WIDTH)))
    q, k, v = projections(g, x)
    a, b = (q, k) if transposed else (g.matmul(q, k, adj_y=True), v)
    y = by_heads(g, a, b, kind, transposed, axis)
    plain = graph_of(g, y)
    graph = normalize(plain, RULES).graph
    assert opcodes(graph).count("BATCH_MATMUL") == (1 if transposed else 2)
    assert not {"PACK", "SLICE"} & set(opcodes(graph))
    sample = g.quantized(x)
    error = result(graph, sample).astype(int) - result(plain, sample).astype(int)
    assert np.max(np.abs(error)) <= (0 if kind == "matmul" else 1)


@pytest.mark.parametrize("kind", ["matmul", "dense"])
def test_attention_head_by_head_is_fused(kind: str) -> None:
    """What TensorFlow's converter makes of a BATCH_MATMUL that it unfolds."""
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0, 1, (1, TOKENS, WIDTH)))
    q, k, v = projections(g, g.layer_norm(x))
    scores = g.reshape(by_heads(g, q, k, kind, True), 1, HEADS, TOKENS, TOKENS)
    p = g.softmax(g.mul(scores, g.constant(np.array(HEAD_DIM**-0.5))))
    context = g.reshape(by_heads(g, p, v, kind, False), 1, HEADS, TOKENS, HEAD_DIM)
    merged = g.reshape(g.transpose(context, 0, 2, 1, 3), 1, TOKENS, HEADS * HEAD_DIM)
    y = g.add(x, g.linear(merged, WIDTH))
    both = outcome(g, x, y)
    assert both.codes == {"VitAttention": 1}
    assert both.report.ops_after == 1
    assert both.fused_db > both.plain_db - 3.0


def test_products_of_different_types_or_of_other_tensors_stay() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, TOKENS, WIDTH)))
    q, k, v = projections(g, x)
    parts = [product(g, head(g, q, h, "matmul"), head(g, k, h, "matmul"), "matmul", True)
             for h in range(HEADS)]  # fmt: skip
    y = g.pack(parts, 0)
    g.tensors[parts[1]] = dataclasses.replace(
        g.tensors[parts[1]], quantization=g.tensors[v].quantization
    )
    assert "PACK" in opcodes(rewritten(g, y, by=RULE).graph)
    one_type(g, [*parts, y])
    assert "PACK" not in opcodes(rewritten(g, y, by=RULE).graph)
    other = product(g, head(g, v, 0, "matmul"), head(g, k, 0, "matmul"), "matmul", True)
    one_type(g, [*parts, other])
    mixed = g.pack([*parts[:2], other], 0)
    assert "PACK" in opcodes(rewritten(g, mixed, by=RULE).graph)
