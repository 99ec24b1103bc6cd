# SPDX-License-Identifier: Apache-2.0
"""The guard of a Keras Embedding keeps its meaning and runs in every runtime."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converter.fuse.rewrite.engine import normalize
from converter.fuse.rewrite.rules import index_guard
from converter.runtimes import open_runtime
from converter.tflite import Graph, Model, Operator, Tensor, serialize
from converter.tflite.schema import schema

_INT32 = np.dtype(np.int32)


def guard(n: int, less_than: int = 0) -> Graph:
    def constant(value: int) -> Tensor:
        return Tensor("c", (), _INT32, None, np.array(value, np.int32))

    tensors = (
        Tensor("ids", (1, 6), _INT32),
        constant(less_than),
        constant(n),
        Tensor("less", (1, 6), np.dtype(np.bool_)),
        Tensor("moved", (1, 6), _INT32),
        Tensor("y", (1, 6), _INT32),
    )

    def op(name: str, kind: str, inputs: tuple[int, ...], output: int) -> Operator:
        options = getattr(schema, f"{kind}T")()
        code = getattr(schema.BuiltinOptions, kind)
        return Operator(name, inputs, (output,), options=options, options_type=code)

    operators = (
        op("LESS", "LessOptions", (0, 1), 3),
        op("ADD", "AddOptions", (0, 2), 4),
        op("SELECT", "SelectOptions", (3, 4, 0), 5),
    )
    return Graph(tensors, operators, (0,), (5,))


@pytest.mark.parametrize("n", [1, 7, 30522])
def test_every_index_means_the_same(n: int) -> None:
    plain = guard(n)
    graph = normalize(plain, [index_guard.RULE]).graph
    assert [op.opcode for op in graph.operators] == ["MINIMUM", "MAXIMUM", "MUL", "ADD"]
    ids = np.array([[0, -1, n - 1, -n, 5, -3]], np.int32)
    (want,) = open_runtime("reference", serialize(Model(plain))).run(ids)
    np.testing.assert_array_equal(want, np.where(ids < 0, ids + n, ids))
    for name in ("reference", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, serialize(Model(graph))).run(ids)[0], want)


def test_other_selections_stay() -> None:
    assert len(normalize(guard(7, less_than=1), [index_guard.RULE]).graph.operators) == 3
    graph = dataclasses.replace(guard(7), outputs=(5, 4))
    assert len(normalize(graph, [index_guard.RULE]).graph.operators) == 3
