# SPDX-License-Identifier: Apache-2.0
"""What the rules' tests need: one rule applied, and results of graphs that were made by hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse import fuse_model
from converter.fuse.rewrite import RULES, Normalized, Rule, normalize
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Graph, Model, serialize
from tests.converter.fuse.checks import Array, real_output, run_litert, sqnr_db
from tests.converter.fuse.plain_graph import PlainGraph


def rule(name: str) -> Rule:
    return next(r for r in RULES if r.name == name)


def graph_of(g: PlainGraph, *outputs: int) -> Graph:
    return Graph(tuple(g.tensors), tuple(g.operators), tuple(g.inputs), outputs)


def rewritten(g: PlainGraph, *outputs: int, by: str) -> Normalized:
    """The graph after one rule."""
    return normalize(graph_of(g, *outputs), [rule(by)])


def opcodes(graph: Graph) -> list[str]:
    return [op.opcode for op in graph.operators]


def result(graph: Graph, sample: Array) -> Array:
    """int8 result of LiteRT's reference kernels for one input."""
    return run_litert(serialize(Model(graph)), sample[None])[0]


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """SQNR in dB of the plain and the rewritten graph against the real values."""

    plain: float
    rewritten: float


def accuracy(g: PlainGraph, x: int, y: int, by: str) -> Accuracy:
    """Both graphs on the sample that `g` was made with."""
    graphs = [graph_of(g, y), rewritten(g, y, by=by).graph]
    contents = [serialize(Model(graph)) for graph in graphs]
    sample, expected = g.quantized(x)[None], g.value(y)[None]
    plain, other = (sqnr_db(expected, real_output(c, run_litert(c, sample))) for c in contents)
    return Accuracy(plain, other)


def equal_everywhere(g: PlainGraph, x: int, y: int) -> None:
    """What LiteRT computes of the plain file, every runtime computes of the fused one."""
    plain = g.finish(y)
    want = run_litert(plain, g.quantized(x)[None])[0]
    fused = plan_model(fuse_model(plain).model_bytes).model_bytes
    for name in ("reference", "host", "tflm"):
        got = open_runtime(name, fused).run(g.quantized(x))[0]
        np.testing.assert_array_equal(got, want.reshape(got.shape), name)
