# SPDX-License-Identifier: Apache-2.0
"""CUMSUM as a layer of ones: along each axis, from both ends, with and without the element."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Model, serialize
from tests.converter.fuse.islands import Island, island
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import graph_of, opcodes, rewritten


def _sum(value: np.ndarray[Any, Any], axis: int, exclusive: bool, reverse: bool) -> Any:
    x = np.flip(value, axis) if reverse else value
    y = np.cumsum(x, axis) - (x if exclusive else 0.0)
    return np.flip(y, axis) if reverse else y


def _island(shape: tuple[int, ...], axis: int, exclusive: bool, reverse: bool, seed: int) -> Island:
    """In float, between DEQUANTIZE and QUANTIZE, as TensorFlow's converter leaves it."""

    def build(g: PlainGraph, x: int) -> int:
        opts = options("CumsumOptions", exclusive=exclusive, reverse=reverse)
        at = g.indices(axis, scalar=True)
        return g.op("CUMSUM", [x, at], _sum(g.value(x), axis, exclusive, reverse), **opts)

    return island(build, shape, seed=seed)


@given(
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    axis=st.integers(-4, 3),
    exclusive=st.booleans(),
    reverse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_integers_within_a_unit(
    shape: list[int], axis: int, exclusive: bool, reverse: bool, seed: int
) -> None:
    axis = axis % len(shape) - (len(shape) if axis < 0 else 0)
    made = _island(tuple(shape), axis, exclusive, reverse, seed)
    graph = rewritten(made.g, made.y, by="running_sum").graph
    if exclusive and shape[axis] == 1:  # next to no scale for sums of nothing
        assert "CUMSUM" in opcodes(graph)
        return
    assert "FULLY_CONNECTED" in opcodes(graph)
    assert "CUMSUM" not in opcodes(graph)
    x = np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)
    (want,) = open_runtime("reference", serialize(Model(graph_of(made.g, made.y)))).run(x)
    (got,) = open_runtime("reference", serialize(Model(graph))).run(x)
    assert np.abs(got.astype(int) - want).max() <= 1


def test_every_runtime() -> None:
    made = _island((1, 8, 6), 1, False, False, 3)
    fused = plan_model(fuse_model(serialize(Model(graph_of(made.g, made.y)))).model_bytes)
    x = np.random.default_rng(1).integers(-128, 128, (1, 8, 6)).astype(np.int8)
    want = open_runtime("reference", fused.model_bytes).run(x)[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused.model_bytes).run(x)[0], want)


def test_a_long_one_stays() -> None:
    made = _island((1, 513), 1, False, False, 0)
    assert "CUMSUM" in opcodes(rewritten(made.g, made.y, by="running_sum").graph)
