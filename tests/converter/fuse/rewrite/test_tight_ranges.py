# SPDX-License-Identifier: Apache-2.0
"""Sums and products get the range that their operands allow: no value leaves it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse.rewrite.rules.tight_ranges import real_range
from converter.tflite import Graph, Quantization
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, result, rewritten

_OPS = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply}


def _graph(opcode: str, seed: int, wider: float) -> tuple[PlainGraph, int, int, int]:
    """An operator on x and a layer of it, of a range that is too wide; softmax reads it."""
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(g.rng.normal(), 1, (1, 6, 8)))
    other = g.linear(x, 8)
    made = {"ADD": g.add, "SUB": g.sub, "MUL": g.mul}[opcode](x, other)
    t = g.tensors[made]
    q = Quantization.per_tensor(t.scale * wider, int(g.rng.integers(-128, 128)))
    g.tensors[made] = dataclasses.replace(t, quantization=q)
    return g, x, made, g.softmax(made)


@given(opcode=st.sampled_from(sorted(_OPS)), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_every_value_fits(opcode: str, seed: int) -> None:
    g, x, made, y = _graph(opcode, seed, 1e4)
    normal = rewritten(g, y, by="tight_ranges").graph
    tight = next(i for i, t in enumerate(normal.tensors) if t.name.endswith("/tight"))
    ends = [real_range(g.tensors[i]) for i in g.operators[-2].inputs]
    corners = [_OPS[opcode](a, c) for a in ends[0] for c in ends[1]]
    low, high = real_range(normal.tensors[tight])
    step = normal.tensors[tight].scale
    assert low - step <= min(*corners, 0.0)
    assert high + step >= max(*corners, 0.0)
    assert high - low <= (max(*corners, 0.0) - min(*corners, 0.0)) * 1.01
    inner = Graph(normal.tensors, normal.operators[:-1], normal.inputs, (tight,))
    got = (result(inner, g.quantized(x)).astype(float) - normal.tensors[tight].zero_point) * step
    error = np.abs(got - g.value(made)).max()
    assert error <= 0.6 * step + 4 * sum((b - a) / 255 for a, b in ends) * (
        1 if opcode != "MUL" else max(abs(v) for pair in ends for v in pair)
    )


@pytest.mark.parametrize("wider", [1.0, 4.0])
def test_what_may_be_right_stays(wider: float) -> None:
    g, _, _, y = _graph("ADD", 0, wider)
    plain = graph_of(g, y)
    assert [t.name for t in rewritten(g, y, by="tight_ranges").graph.tensors] == [
        t.name for t in plain.tensors
    ]


def test_a_reader_that_wants_one_type_keeps_it() -> None:
    g, _, made, _ = _graph("ADD", 0, 1e4)
    y = g.transpose(made, 0, 2, 1)
    normal = rewritten(g, y, by="tight_ranges").graph
    assert opcodes(normal) == opcodes(graph_of(g, y))
    assert not any(t.name.endswith("/tight") for t in normal.tensors)
