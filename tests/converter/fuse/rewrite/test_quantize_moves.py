# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE before what moves or joins elements rounds the same numbers."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite import RULES, normalize
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.islands import Island, island
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "quantize_moves"


def check_exact(made: Island, expected: list[str]) -> None:
    graph = rewritten(made.g, made.y, by=RULE).graph
    assert opcodes(graph) == expected
    rng = np.random.default_rng(1)
    inputs = [
        rng.integers(-128, 128, made.g.tensors[x].shape).astype(np.int8) for x in made.xs
    ]  # fmt: skip
    contents = [serialize(Model(g)) for g in (graph_of(made.g, made.y), graph)]
    want, got = (open_runtime("litert", content).run(*inputs)[0] for content in contents)
    np.testing.assert_array_equal(got, want)


def bent(g: PlainGraph, x: int) -> int:
    return g.unary("TANH", x, np.tanh(g.value(x)))


def test_behind_a_function() -> None:
    check_exact(
        island(lambda g, x: g.transpose(g.reshape(bent(g, x), 1, 12, 4), 0, 2, 1), (1, 6, 8)),
        ["DEQUANTIZE", "TANH", "QUANTIZE", "RESHAPE", "TRANSPOSE"],
    )


def test_joined_tensors_and_constants() -> None:
    def build(g: PlainGraph, a: int, b: int) -> int:
        token = g.constant(g.rng.normal(0, 1, (1, 1, 8)))
        return g.concatenation([token, a, bent(g, b)], 1)

    made = island(build, (1, 3, 8), (1, 2, 8))
    check_exact(made, [*["DEQUANTIZE"] * 2, "TANH", *["QUANTIZE"] * 2, "CONCATENATION"])


def test_order_of_the_rules_does_not_matter() -> None:
    def build(g: PlainGraph, a: int, b: int) -> int:
        moved = g.reshape(g.transpose(a, 0, 2, 1), 1, 6, 8)
        return g.transpose(g.concatenation([moved, g.reshape(bent(g, b), 1, 2, 8)], 1), 0, 2, 1)

    made = island(build, (1, 6, 8), (1, 4, 4))
    graph = graph_of(made.g, made.y)
    expected = sorted(opcodes(normalize(graph, RULES).graph))
    rng = np.random.default_rng(0)
    for _ in range(6):
        shuffled = [RULES[i] for i in rng.permutation(len(RULES))]
        normal = normalize(graph, shuffled)
        assert sorted(opcodes(normal.graph)) == expected
        assert normalize(normal.graph, RULES).graph is normal.graph
