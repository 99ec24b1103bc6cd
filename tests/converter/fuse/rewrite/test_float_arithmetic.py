# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of dequantized tensors becomes that of integers, within a unit of the float island."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.runtimes import open_runtime
from converter.tflite import Model, Quantization, parse, serialize
from tests.converter.fuse.islands import Build, island
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten

RULE = "float_arithmetic"
SHAPE = (1, 6, 8)
BUILDS: dict[str, Build] = {
    "ADD": lambda g, a, b: g.add(a, b),
    "SUB": lambda g, a, b: g.sub(a, b),
    "MUL": lambda g, a, b: g.mul(a, b),
    "BATCH_MATMUL": lambda g, a, b: g.matmul(a, b, adj_y=True),
    "MEAN": lambda g, a, b: g.mean(a, 1),
}


@given(st.sampled_from(sorted(BUILDS)), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_integers_within_a_unit(opcode: str, row: bool, seed: int) -> None:
    second = (1, 1, 8) if row else SHAPE
    made = island(BUILDS[opcode], SHAPE, second, seed=seed)
    graph = rewritten(made.g, made.y, by=RULE).graph
    assert [o for o in opcodes(graph) if o != "DEQUANTIZE"] == [opcode]
    assert all(op.version >= 2 for op in graph.operators if op.opcode == opcode)  # int8 since then
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in (SHAPE, second))
    (want,) = open_runtime("reference", serialize(Model(graph_of(made.g, made.y)))).run(a, b)
    content = serialize(Model(graph))
    (got,) = open_runtime("reference", content).run(a, b)
    off = np.abs(got.astype(int) - want)
    assert off.max() <= 1
    assert np.mean(off) <= 0.1
    np.testing.assert_array_equal(open_runtime("tflm", content).run(a, b)[0], got)


def test_what_is_not_between_integers_stays() -> None:
    def constant(g: PlainGraph, x: int) -> int:
        return g.mul(x, g.constant(g.rng.normal(0, 1, 8)))

    def two(g: PlainGraph, a: int, b: int) -> int:
        return g.mul(g.add(a, b), b)

    for build, count in ((constant, 1), (two, 2)):
        made = island(build, *[SHAPE] * count)
        graph = graph_of(made.g, made.y)
        assert opcodes(rewritten(made.g, made.y, by=RULE).graph) == opcodes(graph)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8])
@pytest.mark.parametrize("opcode", sorted(BUILDS))
def test_integers_of_another_type_stay(opcode: str, dtype: type) -> None:
    """The integer operator would have operands and a result of two types."""
    made = island(BUILDS[opcode], SHAPE, SHAPE)
    for x in made.xs:
        made.g.tensors[x] = dataclasses.replace(made.g.tensors[x], dtype=np.dtype(dtype))
    graph = graph_of(made.g, made.y)
    assert opcodes(rewritten(made.g, made.y, by=RULE).graph) == opcodes(graph)


@pytest.mark.parametrize("opcode", ["ADD", "MUL", "MEAN"])
def test_a_scale_that_no_integer_operator_has_leaves_it_in_float(opcode: str) -> None:
    """A dead layer's: the file would be one that the reader refuses."""
    made = island(BUILDS[opcode], SHAPE, SHAPE)
    y = dataclasses.replace(made.g.tensors[made.y], quantization=Quantization.per_tensor(1e-9, 0))
    made.g.tensors[made.y] = y
    result = fuse_model(made.g.finish(made.y))
    parse(result.model_bytes)
    assert opcode in [leftover.name for leftover in result.report.leftovers]
