# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX in other operators: as near to the logarithms as its own steps of 1/16 allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.fuse.rewrite import normalize
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Graph, Model, serialize
from tests.converter.fuse.rewrite.checks import opcodes, rule
from tests.converter.runtimes.edges import Edges

_STEP = 1 / 16


def _graph(shape: tuple[int, ...], scale: float) -> Graph:
    g = Edges()
    x = g.x(shape, np.int8, (scale, 5))
    y = g.op("LOG_SOFTMAX", (x,), shape, np.int8, (_STEP, 127), "LogSoftmaxOptions")
    return g.model(y).graph


def _fused(graph: Graph) -> bytes:
    return plan_model(fuse_model(serialize(Model(graph))).model_bytes).model_bytes


def _inputs(kind: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """Any, next to each other, or some of them far above the others."""
    if kind == "any":
        return rng.integers(-128, 128, (20, count)).astype(np.int8)
    x = rng.integers(-2, 3, (20, count))
    far = rng.random((20, count)) < rng.random((20, 1))
    return (x - far * rng.integers(0, 126, (20, 1)) * (kind == "some")).astype(np.int8)


@given(
    count=st.integers(2, 64),
    scale=st.sampled_from([0.002, 0.05, 0.3]),
    kind=st.sampled_from(["any", "alike", "some"]),
    seed=st.integers(0, 999),
)
@example(count=64, scale=0.002, kind="alike", seed=0)
@example(count=64, scale=0.05, kind="some", seed=1)
@settings(max_examples=12, deadline=None)
def test_logarithms(count: int, scale: float, kind: str, seed: int) -> None:
    """Within a step of the result: half a step is its own rounding."""
    x = _inputs(kind, np.random.default_rng(seed), count)
    graph = _graph(x.shape, scale)
    real = (x.astype(float) - 5) * scale
    want = real - np.log(np.exp(real).sum(-1, keepdims=True))
    got = (open_runtime("reference", _fused(graph)).run(x)[0].astype(float) - 127) * _STEP
    assert np.all(np.abs(got - np.maximum(want, -255 * _STEP)) <= _STEP)


@pytest.mark.parametrize("count", [8, 56])
def test_every_runtime(count: int) -> None:
    fused = _fused(_graph((1, count), 0.05))
    x = np.random.default_rng(0).integers(-128, 128, (1, count)).astype(np.int8)
    want = open_runtime("reference", fused).run(x)[0]
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, fused).run(x)[0], want)


@pytest.mark.parametrize("count", [1, 65])
def test_what_stays(count: int) -> None:
    graph = normalize(_graph((1, count), 0.05), [rule("log_softmax")]).graph
    assert opcodes(graph) == ["LOG_SOFTMAX"]
