# SPDX-License-Identifier: Apache-2.0
"""Moves of constants become constants with the same integers; what depends on an input stays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.tflite import Quantization
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import opcodes, result, rewritten


def bias(g: PlainGraph) -> int:
    """A position bias [1, 2, 4, 4] as torch exports make it: a table by distance, gathered."""
    table = g.constant(g.rng.normal(0, 1, (2, 7)))
    distance = np.arange(4)[:, None] - np.arange(4) + 3
    at = g.indices(*distance.reshape(-1))
    value = g.value(table)[:, distance.reshape(-1)]
    gathered = g.op("GATHER", [table, at], value, like=table, **options("GatherOptions", axis=1))
    return g.reshape(g.transpose(g.reshape(gathered, 2, 4, 4), 0, 2, 1), 1, 2, 4, 4)


def scores(seed: int = 0) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, 2, 4, 4)))
    return g, x, g.add(x, bias(g))


def test_position_bias_becomes_a_constant() -> None:
    g, x, y = scores()
    graph = rewritten(g, y, by="constant_moves").graph
    assert opcodes(graph) == ["ADD"]
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    sample = g.quantized(x)
    np.testing.assert_array_equal(result(graph, sample), result(plain, sample))


def test_the_bias_of_many_heads_is_larger_than_its_table_and_becomes_one() -> None:
    """As of S3's third stage: 12 heads, 14 x 14 tokens. One a hundred times as large does not."""
    for heads, tokens, becomes in ((12, 196, True), (400, 64, False)):
        g = PlainGraph(np.random.default_rng(3))
        x = g.input(g.rng.normal(0, 1, (heads, tokens, tokens)))
        table = g.constant(g.rng.normal(0, 1, (heads, 700)))
        at = g.rng.integers(0, 700, tokens * tokens)
        value = g.value(table)[:, at]
        made = g.op("GATHER", [table, g.indices(*at)], value, like=table,
                    **options("GatherOptions", axis=1))  # fmt: skip
        y = g.add(x, g.reshape(made, heads, tokens, tokens))
        left = opcodes(rewritten(g, y, by="constant_moves").graph)
        assert left == (["ADD"] if becomes else ["GATHER", "RESHAPE", "ADD"])


@pytest.mark.parametrize("parts", [1, 2])
def test_parts_and_joins(parts: int) -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0, 1, (1, 6)))
    pieces = g.split(g.constant(g.rng.normal(0, 1, (1, 6))), parts)
    y = g.add(x, g.concatenation(pieces[::-1], 1))
    graph = rewritten(g, y, by="constant_moves").graph
    assert opcodes(graph) == ["ADD"]
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    sample = g.quantized(x)
    np.testing.assert_array_equal(result(graph, sample), result(plain, sample))


def test_what_stays() -> None:
    g, _, _ = scores()
    gathered = g.operators[-2].outputs[0]
    assert "RESHAPE" in opcodes(rewritten(g, gathered, by="constant_moves").graph)  # an output
    g, _, y = scores()
    at = g.operators[0].outputs[0]
    other = Quantization.per_tensor(2.0 * g.tensors[at].scale, 0)
    g.tensors[at] = dataclasses.replace(g.tensors[at], quantization=other)
    assert "GATHER" in opcodes(rewritten(g, y, by="constant_moves").graph)  # another scale
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (300, 300)))
    y = g.add(x, g.tile(g.constant(g.rng.normal(0, 1, (1, 300))), (300, 1)))
    assert "TILE" in opcodes(rewritten(g, y, by="constant_moves").graph)  # 90 KB of 300 bytes


def test_a_filled_tensor_is_a_constant() -> None:
    """The first state of a recurrent layer: FILL of constants, which no kernel here has."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 4)))
    number = g.constant(np.array(0.5))
    value = np.full((1, 4), g.value(number))
    y = g.add(x, g.op("FILL", [g.indices(1, 4), number], value, like=number))
    graph = rewritten(g, y, by="constant_moves").graph
    assert opcodes(graph) == ["ADD"]
    plain = dataclasses.replace(graph, operators=tuple(g.operators), tensors=tuple(g.tensors))
    sample = g.quantized(x)
    np.testing.assert_array_equal(result(graph, sample), result(plain, sample))
