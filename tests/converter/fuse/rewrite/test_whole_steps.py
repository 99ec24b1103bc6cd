# SPDX-License-Identifier: Apache-2.0
"""Indices that come as int8 with scale 1 become int32 without floating point, each the same."""

from __future__ import annotations

import numpy as np

from converter.fuse.rewrite.engine import normalize
from converter.fuse.rewrite.rules import whole_steps
from converter.runtimes import open_runtime
from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from converter.tflite.schema import schema


def chain(scale: float = 1.0, zero_point: int = 0, out: type = np.int32) -> Graph:
    q = Quantization(np.array([scale], np.float32), np.array([zero_point]), 0)
    tensors = (
        Tensor("text", (1, 256), np.dtype(np.int8), q),
        Tensor("real", (1, 256), np.dtype(np.float32)),
        Tensor("index", (1, 256), np.dtype(out)),
    )

    def op(name: str, kind: str, source: int, result: int) -> Operator:
        options = getattr(schema, f"{kind}T")()
        code = getattr(schema.BuiltinOptions, kind)
        return Operator(name, (source,), (result,), options=options, options_type=code)

    operators = (op("DEQUANTIZE", "DequantizeOptions", 0, 1), op("CAST", "CastOptions", 1, 2))
    return Graph(tensors, operators, (0,), (2,))


def test_every_byte_is_the_same_index() -> None:
    plain = chain()
    graph = normalize(plain, [whole_steps.RULE]).graph
    assert [op.opcode for op in graph.operators] == ["CAST"]
    text = np.arange(-128, 128, dtype=np.int8)[None]
    (want,) = open_runtime("reference", serialize(Model(plain))).run(text)
    np.testing.assert_array_equal(want[0], np.arange(-128, 128))
    for name in ("reference", "tflm"):
        got = open_runtime(name, serialize(Model(graph))).run(text)[0]
        np.testing.assert_array_equal(got, want)


def test_others_stay() -> None:
    for graph in (chain(scale=0.5), chain(zero_point=-1), chain(out=np.bool_)):
        assert normalize(graph, [whole_steps.RULE]).graph.operators == graph.operators
