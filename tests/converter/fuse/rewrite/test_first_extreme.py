# SPDX-License-Identifier: Apache-2.0
"""ARG_MAX, ARG_MIN and TOPK_V2 in other operators: every tie, every end of the range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.fuse.rewrite import normalize
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.runtimes.reference import litert_interpreter
from converter.tflite import Graph, Model, Operator, serialize
from tests.converter.fuse.plain_graph import options
from tests.converter.fuse.rewrite.checks import opcodes, rule
from tests.converter.runtimes.edges import Edges

Array = np.ndarray[Any, Any]
_TYPE = (3e-4, 11)  # a step so small that comparisons of int8 would take neighbours for equal


def _arg(opcode: str, shape: tuple[int, ...], axis: int) -> Graph:
    g = Edges()
    x = g.x(shape, np.int8, _TYPE)
    at = g.tensor((), np.int32, None, np.array(axis, np.int32))
    kept = tuple(n for i, n in enumerate(shape) if i != axis % len(shape))
    kind = {"ARG_MAX": "ArgMaxOptions", "ARG_MIN": "ArgMinOptions"}[opcode]
    return g.model(g.op(opcode, (x, at), kept, np.int32, None, kind, outputType=2)).graph


def _top(shape: tuple[int, ...], count: int) -> Graph:
    g = Edges()
    x = g.x(shape, np.int8, _TYPE)
    k = g.tensor((), np.int32, None, np.array(count, np.int32))
    shape = (*shape[:-1], count)
    values, places = g.tensor(shape, np.int8, _TYPE), g.tensor(shape, np.int32)
    opts = options("TopKV2Options")
    g.operators.append(Operator("TOPK_V2", (x, k), (values, places), **opts))
    return g.model(values, places).graph


def _run(graph: Graph, x: Array) -> list[Array]:
    interpreter = litert_interpreter(serialize(Model(graph)))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def _values(seed: int, shape: tuple[int, ...]) -> Array:
    """Few different values, so that most are equal to others; the ends among them."""
    rng = np.random.default_rng(seed)
    choices = rng.choice([-128, -127, -126, -3, 4, 5, 126, 127], rng.integers(1, 4))
    return rng.choice(choices, shape).astype(np.int8)


def _check(plain: Graph, x: Array) -> None:
    graph = normalize(plain, [rule("first_extreme")]).graph
    assert not {"ARG_MAX", "ARG_MIN", "TOPK_V2"} & set(opcodes(graph))
    for want, got in zip(_run(plain, x), _run(graph, x), strict=True):
        np.testing.assert_array_equal(got, want)


@settings(max_examples=25, deadline=None)
@given(
    opcode=st.sampled_from(["ARG_MAX", "ARG_MIN"]),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    count=st.integers(1, 128),
    axis=st.integers(-4, 3),
    seed=st.integers(0, 999),
)
def test_position_of_the_first(
    opcode: str, shape: list[int], count: int, axis: int, seed: int
) -> None:
    axis = axis % (len(shape) + 1)
    shape.insert(axis, count)
    _check(_arg(opcode, tuple(shape), axis), _values(seed, tuple(shape)))


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 3), count=st.integers(1, 20), k=st.integers(1, 10), seed=st.integers(0, 999)
)
def test_largest(rows: int, count: int, k: int, seed: int) -> None:
    _check(_top((rows, count), min(k, count)), _values(seed, (rows, count)))


@pytest.mark.parametrize("graph", [_arg("ARG_MAX", (1, 3, 4, 7), 3), _top((1, 12), 3)])
def test_every_runtime(graph: Graph) -> None:
    x = np.random.default_rng(3).integers(-5, 4, graph.tensors[0].shape).astype(np.int8)
    fused = plan_model(fuse_model(serialize(Model(graph))).model_bytes).model_bytes
    for name in ("reference", "host", "tflm"):
        for want, got in zip(_run(graph, x), open_runtime(name, fused).run(x), strict=True):
            np.testing.assert_array_equal(got, want, name)


def test_what_stays() -> None:
    """More positions than int8 holds, and more results than are worth their operators."""
    for graph in (_arg("ARG_MAX", (1, 129), 1), _top((1, 20), 11)):
        assert len(normalize(graph, [rule("first_extreme")]).graph.operators) == 1


def test_their_limits_are_not_reported_as_activations() -> None:
    for graph in (_arg("ARG_MAX", (1, 4, 5), -1), _top((1, 8), 3)):
        report = fuse_model(serialize(Model(graph))).report
        assert not [n.label for n in report.not_fused]
