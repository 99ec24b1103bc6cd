# SPDX-License-Identifier: Apache-2.0
"""Sums, joins and means that are float in the file carry int16 beside fused operators."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from converter.fuse import FuseResult, fuse_model
from converter.fuse.arithmetic import Range
from converter.fuse.gate.types import FusedTypes
from converter.fuse.patterns.linear import LinearMatch
from converter.fuse.patterns.wide_linear import wide_layer
from converter.fuse.search import find_matches
from converter.fuse.wide import before_rounding, int16_of, retyped
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Graph, GraphView, Quantization, Tensor, parse
from tests.converter.fuse.blocks import mlp
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.pt2e import pt2e_of


def stream(g: PlainGraph) -> int:
    """Two class tokens beside computed ones, positions, and a branch that no block is made of."""
    x = g.input(g.rng.normal(0, 1, (1, 5, 12)))
    x = g.concatenation([g.constant(g.rng.normal(0, 1, (1, 2, 12))), g.linear(x, 12)], 1)
    x = g.add(x, g.constant(g.rng.normal(0, 0.3, (1, 7, 12))))
    return g.add(x, g.linear(g.layer_norm(x), 12))


@functools.cache
def content() -> bytes:
    g = PlainGraph(np.random.default_rng(3))
    y = g.mean(mlp(g, stream(g), 24), 1)
    return pt2e_of(g, g.linear(y, 6), quantized={"FULLY_CONNECTED"})


@functools.cache
def fused(bits: int | None = None) -> FuseResult:
    return fuse_model(content(), bits)


def values_of(graph: Graph, opcode: str) -> list[str]:
    """Types of what operators of a kind read and write, axes aside."""
    ops = [op for op in graph.operators if op.opcode == opcode]
    found = [graph.tensors[t] for op in ops for t in (*op.inputs, *op.outputs)]
    return [t.dtype.name for t in found if t.quantization is not None]


@pytest.mark.parametrize("opcode", ["CONCATENATION", "ADD", "MEAN"])
def test_what_is_float_in_the_file_is_int16(opcode: str) -> None:
    types = values_of(parse(fused().model_bytes).graph, opcode)
    assert types
    assert set(types) == {"int16"}
    assert set(values_of(parse(fused(8).model_bytes).graph, opcode)) == {"int8"}


def test_the_report_knows_16_bits() -> None:
    assert any("the residual stream" in line for line in fused().report.remarks)
    assert not any("in int8 now" in line for line in fused().report.remarks)


def test_the_gate_rounds_to_the_types_of_the_fused_graph() -> None:
    t = Tensor("t/int8", (3,), np.dtype(np.int8), Quantization.per_tensor(0.5, 1))
    real = np.array([0.1, -1.3, 2.24], np.float32)
    exact = Tensor("t", (3,), np.dtype(np.float32), None, real)
    constant = Tensor("t/int8", (3,), t.dtype, t.quantization, np.array([1, -2, 5], np.int8))
    view = GraphView(Graph((t, exact, constant), (), (), ()))
    for type_, atol in ((int16_of(t), 2e-3), (Range(0.5, 1), 0.26)):
        types = FusedTypes(view, {0: type_, 2: type_}.__getitem__)
        error = np.abs(types(0, t, real) - real).max()
        assert atol / 30 < error < atol
        assert sorted(types.constants) == ([2] if type_.bits == 16 else [])
        for values in types.constants.values():
            np.testing.assert_allclose(values, real, atol=2e-3)


def test_every_runtime_computes_the_same() -> None:
    planned = plan_model(fused().model_bytes).model_bytes
    rng = np.random.default_rng(0)
    samples = [rng.integers(-128, 128, (1, 5, 12)).astype(np.int8) for _ in range(2)]
    for name in ("host", "tflm"):
        runtime, reference = open_runtime(name, planned), open_runtime("reference", planned)
        for x in samples:
            np.testing.assert_array_equal(runtime.run(x)[0], reference.run(x)[0], name)


def test_int8_operators_alone_stay_int8() -> None:
    """A sum of two int8 layers that an int8 layer reads gains nothing by 16 bits."""
    g = PlainGraph(np.random.default_rng(0))
    x = g.input(g.rng.normal(0, 1, (1, 6, 8)))
    y = g.linear(g.add(g.linear(x, 8), g.linear(x, 8)), 4)
    graph = parse(fuse_model(pt2e_of(g, y, quantized={"FULLY_CONNECTED"})).model_bytes).graph
    assert set(values_of(graph, "ADD")) == {"int8"}
    assert not any(op.opcode == "QUANTIZE" for op in graph.operators)


def test_two_results_of_one_operator_are_streams() -> None:
    """Each has a QUANTIZE of its own; the second took the first one's place."""
    g = PlainGraph(np.random.default_rng(3))
    parts = g.split(g.input(g.rng.normal(0, 1, (1, 5, 24))), 2)
    y = g.linear(g.add(*(mlp(g, part, 24) for part in parts)), 5)
    result = fuse_model(pt2e_of(g, y, quantized={"FULLY_CONNECTED", "SPLIT"}))
    graph = parse(result.model_bytes).graph
    assert [op.name for op in graph.operators].count("VitMlp") == 2
    (split,) = [op for op in graph.operators if op.opcode == "SPLIT"]
    casts = [
        op for op in graph.operators if op.opcode == "QUANTIZE" and op.inputs[0] in split.outputs
    ]
    assert sorted(op.inputs[0] for op in casts) == sorted(split.outputs)


def test_a_mean_of_normalized_tokens_is_said_to_be_coarse_without_data() -> None:
    g = PlainGraph(np.random.default_rng(5))
    x = g.input(g.rng.normal(0, 1, (1, 40, 8)))
    y = g.linear(g.mean(g.layer_norm(g.add(x, g.linear(x, 8))), 1), 4)
    plain = pt2e_of(g, y, quantized={"FULLY_CONNECTED"})
    probes = [[g.rng.integers(-90, 90, (1, 40, 8)).astype(np.int8)] for _ in range(4)]
    said = "the mean over tokens is of int8 ones whose range is a bound: MEAN (op "
    assert any(said in line for line in fuse_model(plain).report.remarks)
    assert not any(said in line for line in fuse_model(plain, probes=probes).report.remarks)


def test_a_constant_is_made_of_the_numbers_before_they_were_rounded() -> None:
    exact = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 12)
    q = Quantization.per_tensor(0.01, 3)
    data = (np.rint(exact / np.float32(0.01)) + 3).astype(np.int8)
    constant = Tensor("c/int8/int16", (1, 12), np.dtype(np.int8), q, data)
    known = Tensor("c", (1, 12), np.dtype(np.float32), None, exact)
    other = Tensor("c", (1, 12), np.dtype(np.float32), None, exact + np.float32(0.02))
    assert before_rounding([other], constant) is None
    assert before_rounding([Tensor("d", (1, 12), known.dtype, None, exact)], constant) is None
    found = before_rounding([other, known], constant)
    wide = retyped(constant, int16_of(constant), found)
    np.testing.assert_allclose(wide.real(), exact, atol=0.51 * wide.scale)
    assert np.abs(retyped(constant, int16_of(constant)).real() - exact).max() > 10 * wide.scale


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_a_layer_of_int16_is_a_patch_embedding_of_single_pixels(rank: int) -> None:
    g = PlainGraph(np.random.default_rng(rank))
    shape = {2: (6, 8), 3: (1, 6, 8), 4: (1, 2, 3, 8)}[rank]
    y = g.linear(g.input(g.rng.normal(0, 1, shape)), 5)
    view = GraphView(parse(g.finish(y)).graph)
    (match,) = [f.match for f in find_matches(view, {})[0]]
    assert isinstance(match, LinearMatch)
    wide = wide_layer(view, match)
    sides = (wide.height, wide.width) if wide else None
    assert sides == {2: None, 3: (1, 6), 4: (2, 3)}[rank]
