# SPDX-License-Identifier: Apache-2.0
"""MUL and SUM as a product: nearer to the real numbers, and the same in every runtime."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten


@dataclasses.dataclass(frozen=True)
class Case:
    """Operands' shapes and what is summed over."""

    a: tuple[int, ...]
    c: tuple[int, ...]
    axes: tuple[int, ...]
    keep: bool


CASES = {
    "weights of tokens": Case((1, 9, 1), (1, 9, 6), (1,), False),
    "the other way round": Case((1, 9, 6), (1, 9, 1), (-2,), True),
    "weights of pixels": Case((1, 3, 4, 1), (1, 3, 4, 6), (1, 2), True),
    "in each head": Case((1, 2, 9, 1), (1, 2, 9, 6), (2,), True),
    "a denominator": Case((1, 2, 9, 6), (1, 2, 1, 6), (-1,), True),
    "a cosine": Case((1, 6), (1, 6), (-1,), True),
    "row by row": Case((1, 5, 6), (1, 5, 6), (2,), False),
}


def _graph(case: Case) -> tuple[PlainGraph, int, int]:
    """Both operands are linear layers of one input, so that one sample feeds all."""
    g = PlainGraph(np.random.default_rng(4))
    sizes = [int(np.prod(s)) for s in (case.a, case.c)]
    x = g.input(g.rng.normal(0, 1, (1, 12)))
    a, c = (g.reshape(g.linear(x, n), *s) for n, s in zip(sizes, (case.a, case.c), strict=True))
    terms = g.mul(a, c)
    value = g.value(terms).sum(axis=case.axes, keepdims=case.keep)
    opts = options("ReducerOptions", keepDims=case.keep)
    return g, x, g.op("SUM", [terms, g.indices(*case.axes)], value, **opts)


@pytest.mark.parametrize("name", CASES)
def test_one_product(name: str) -> None:
    g, x, y = _graph(CASES[name])
    normal = rewritten(g, y, by="weighted_sum").graph
    assert "BATCH_MATMUL" in opcodes(normal)
    assert not {"MUL", "SUM"} & set(opcodes(normal))
    found = accuracy(g, x, y, by="weighted_sum")
    assert found.rewritten >= found.plain - 1.0


@pytest.mark.parametrize("name", ["weights of tokens", "a denominator"])
def test_every_runtime(name: str) -> None:
    g, x, y = _graph(CASES[name])
    fused = plan_model(fuse_model(g.finish(y)).model_bytes).model_bytes
    want = open_runtime("reference", fused).run(g.quantized(x))[0]
    for runtime in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(runtime, fused).run(g.quantized(x))[0], want)


def test_what_stays() -> None:
    """A square (a norm's), a constant factor, a sum over heads, terms that others read."""
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0, 1, (1, 4, 6)))
    opts = options("ReducerOptions", keepDims=True)
    other = g.linear(x, 6)
    pairs = ((x, x, 2), (x, g.constant(g.rng.normal(0, 1, (1, 4, 6))), 2), (x, other, 1))
    sums = [
        g.op("SUM", [t, g.indices(axis)], g.value(t).sum(axis, keepdims=True), **opts)
        for t, axis in [(g.mul(a, b), axis) for a, b, axis in pairs]
    ]
    read = g.mul(x, other)
    sums.append(g.op("SUM", [read, g.indices(2)], g.value(read).sum(2, keepdims=True), **opts))
    graph = rewritten(g, *sums, read, by="weighted_sum").graph
    assert opcodes(graph).count("SUM") == len(sums)
