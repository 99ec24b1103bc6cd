# SPDX-License-Identifier: Apache-2.0
"""A constant behind a layer is folded into it: the same function, and no less accurate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.tflite import Graph
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp, token_input
from tests.converter.fuse.checks import Array, outcome
from tests.converter.fuse.islands import in_float
from tests.converter.fuse.plain_graph import PlainGraph, options
from tests.converter.fuse.rewrite.checks import accuracy, opcodes, rewritten

RULE = "constant_factor"
TOKENS, WIDTH, OUT = 5, 6, 8


def start() -> tuple[PlainGraph, int]:
    g = PlainGraph(np.random.default_rng(2))
    return g, g.input(g.rng.normal(0, 1, (1, TOKENS, WIDTH)))


def apply(g: PlainGraph, opcode: str, x: int, c: Array, constant_first: bool) -> int:
    value, constant = g.value(x), g.constant(c)
    c = g.value(constant)
    inputs = [constant, x] if constant_first else [x, constant]
    a, b = (c, value) if constant_first else (value, c)
    results = {"MUL": np.multiply, "DIV": np.divide, "ADD": np.add, "SUB": np.subtract}
    kinds = {"MUL": "MulOptions", "DIV": "DivOptions", "ADD": "AddOptions", "SUB": "SubOptions"}
    return g.op(opcode, inputs, results[opcode](a, b), **options(kinds[opcode]))


def layer_function(graph: Graph, x: Array) -> Array:
    """What the graph's one FULLY_CONNECTED computes on real numbers."""
    op = next(o for o in graph.operators if o.opcode == "FULLY_CONNECTED")
    y = x @ graph.tensors[op.inputs[1]].real().T
    return y + graph.tensors[op.inputs[2]].real() if len(op.inputs) > 2 else y


@given(
    st.sampled_from(["MUL", "DIV", "ADD", "SUB"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_folded_layer_is_the_same_function(
    opcode: str, scalar: bool, first: bool, per_channel: bool, bias: bool, seed: int
) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    x = g.input(g.rng.normal(0, 1, (1, TOKENS, WIDTH)))
    c = g.rng.uniform(0.2, 2.0, 1 if scalar else OUT) * g.rng.choice([-1.0, 1.0])
    y = apply(g, opcode, g.linear(x, OUT, per_channel=per_channel, bias=bias), c, first)
    graph = rewritten(g, y, by=RULE).graph
    if opcode == "DIV" and first:
        assert opcodes(graph) == ["FULLY_CONNECTED", "DIV"]
        return
    assert opcodes(graph) == ["FULLY_CONNECTED"]
    sample = g.value(x)
    unit = g.tensors[x].scale * graph.tensors[graph.operators[0].inputs[1]].quantization.scale  # type: ignore[union-attr]
    error = np.abs(layer_function(graph, sample) - g.value(y))
    assert np.all(error <= 0.51 * unit + 1e-5 * np.abs(g.value(y)).max())
    both = accuracy(g, x, y, RULE)
    assert both.rewritten >= min(both.plain - 0.5, 38.0)


def test_channels_of_both_signs_and_zero() -> None:
    g, x = start()
    c = np.array([1.0, -1.0, 0.0, 0.5, -0.25, 2.0, -2.0, 0.125])
    y = apply(g, "MUL", g.linear(x, OUT), c, False)
    graph = rewritten(g, y, by=RULE).graph
    assert opcodes(graph) == ["FULLY_CONNECTED"]
    np.testing.assert_allclose(layer_function(graph, g.value(x)), g.value(y), atol=2e-2)
    old = g.tensors[g.operators[0].inputs[1]]
    new = graph.tensors[graph.operators[0].inputs[1]]
    assert old.data is not None
    assert new.data is not None
    signs = np.sign(g.value(g.operators[1].inputs[1])).reshape(-1, 1)
    np.testing.assert_array_equal(new.data, old.data * signs)  # integers are not rounded again


def test_chain_of_constants_behind_a_reshape() -> None:
    g, x = start()
    z = g.reshape(g.linear(x, OUT), TOKENS, OUT)
    y = apply(g, "ADD", apply(g, "MUL", z, np.full(OUT, 0.5), False), np.ones(OUT), True)
    graph = rewritten(g, y, by=RULE).graph
    assert opcodes(graph) == ["FULLY_CONNECTED", "RESHAPE"]
    assert accuracy(g, x, y, RULE).rewritten > 38


def test_channels_that_a_reshape_parts() -> None:
    """A bias per head and feature, as Keras' MultiHeadAttention over two axes has it."""
    g, x = start()
    z = g.reshape(g.linear(x, OUT, bias=False), 1, TOKENS, 2, OUT // 2)
    y = apply(g, "ADD", z, g.rng.normal(0, 1, (2, OUT // 2)), False)
    assert opcodes(rewritten(g, y, by=RULE).graph) == ["FULLY_CONNECTED", "RESHAPE"]
    assert accuracy(g, x, y, RULE).rewritten > 38
    g, x = start()
    z = g.reshape(g.linear(x, OUT), 2, TOKENS * OUT // 2)  # rows of the layer, cut in the middle
    y = apply(g, "MUL", z, g.rng.uniform(0.5, 1.5, TOKENS * OUT // 2), False)
    assert opcodes(rewritten(g, y, by=RULE).graph)[-1] == "MUL"


def test_constant_per_token_stays() -> None:
    g, x = start()
    y = apply(g, "ADD", g.linear(x, OUT), g.rng.normal(0, 1, (1, TOKENS, 1)), False)
    assert opcodes(rewritten(g, y, by=RULE).graph) == ["FULLY_CONNECTED", "ADD"]


def test_layer_with_another_reader_an_activation_or_as_output_stays() -> None:
    g, x = start()
    h = g.linear(x, OUT)
    y, other = apply(g, "MUL", h, np.full(OUT, 0.5), False), g.gelu(h)
    assert "MUL" in opcodes(rewritten(g, y, other, by=RULE).graph)
    assert "MUL" in opcodes(rewritten(g, y, h, by=RULE).graph)
    g, x = start()
    y = apply(g, "MUL", g.linear(x, OUT, activation="RELU"), np.full(OUT, 0.5), False)
    assert "MUL" in opcodes(rewritten(g, y, by=RULE).graph)


def test_activation_of_the_constant_moves_to_the_layer() -> None:
    g, x = start()
    z = g.linear(x, OUT)
    c = g.constant(np.full(OUT, -0.5))
    value = np.maximum(g.value(z) * g.value(c), 0.0)
    y = g.op("MUL", [z, c], value, **options("MulOptions", fusedActivationFunction=1))
    graph = rewritten(g, y, by=RULE).graph
    assert graph.operators[0].options.fusedActivationFunction == 1
    assert g.operators[0].options.fusedActivationFunction == 0  # the plain graph is not touched
    assert accuracy(g, x, y, RULE).rewritten > 36


def test_weight_of_minus_128_does_not_change_its_sign() -> None:
    for factor, names in ((-0.5, ["FULLY_CONNECTED", "MUL"]), (0.5, ["FULLY_CONNECTED"])):
        g, x = start()
        z = g.linear(x, OUT)
        w = g.operators[0].inputs[1]
        data = np.array(g.tensors[w].data)
        data[0, 0] = -128
        g.tensors[w] = dataclasses.replace(g.tensors[w], data=data)
        y = apply(g, "MUL", z, np.full(OUT, factor), False)
        assert opcodes(rewritten(g, y, by=RULE).graph) == names


def test_offset_beyond_int32_stays() -> None:
    g, x = start()
    z = g.linear(x, OUT)
    g.tensors[x] = dataclasses.replace(
        g.tensors[x],
        quantization=type(g.tensors[x].quantization).per_tensor(1e-9, 0),  # type: ignore[union-attr]
    )
    y = apply(g, "ADD", z, np.full(OUT, 1e4), False)
    assert opcodes(rewritten(g, y, by=RULE).graph) == ["FULLY_CONNECTED", "ADD"]


@pytest.mark.parametrize("where", ["scores", "q"])
def test_factor_of_the_scores_stays_with_attention(where: str) -> None:
    s = AttentionSpelling(scale=where)
    g = PlainGraph(np.random.default_rng(3))
    x = token_input(g, s.tokens, s.embed_dim)
    y = attention(g, x, s)
    before = [o.opcode for o in g.operators]
    assert opcodes(rewritten(g, y, by=RULE).graph).count("MUL") == before.count("MUL")
    assert outcome(g, x, y).codes == {"VitAttention": 1}


@given(st.booleans(), st.sampled_from([0, 3]), st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_layer_scale_of_both_branches_is_fused(
    skip_second: bool, rank: int, rank_3: bool, seed: int
) -> None:
    """As torch writes it: MUL between the branch's last layer and the residual ADD."""
    s = AttentionSpelling(layer_scale=True, skip_second=skip_second, rank=rank, rank_3=rank_3)
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, s.tokens, s.embed_dim, rank_3)
    y = mlp(g, attention(g, x, s), rank=rank, skip_second=skip_second, layer_scale=True)
    both = outcome(g, x, y)
    assert [op.custom_code for op in both.report.fused] == ["VitAttention", "VitMlp"]
    assert both.report.leftovers == ()
    assert both.report.not_fused == ()
    assert sum(op.replaced_ops for op in both.report.fused) == both.report.ops_before
    assert both.fused_db >= min(both.plain_db - 3.0, 30.0)


@pytest.mark.parametrize("opcode", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolution(opcode: str) -> None:
    g = PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(0, 1, (1, 6, 6, 4)))
    z = g.convolution(x, 4, 3, depthwise=opcode.startswith("DEPTH"))
    factor = np.array([0.5, -1.0, 2.0, -0.25])
    y = apply(g, "SUB", apply(g, "MUL", z, factor, False), np.array([0.1, 0.2, 0.3, 0.4]), True)
    graph = rewritten(g, y, by=RULE).graph
    assert opcodes(graph) == [opcode]
    weights = graph.tensors[graph.operators[0].inputs[1]].quantization
    assert weights is not None
    assert weights.axis == (3 if opcode.startswith("DEPTH") else 0)
    both = accuracy(g, x, y, RULE)
    assert both.rewritten >= both.plain - 0.5


@pytest.mark.parametrize("opcode", ["MUL", "ADD"])
def test_constant_in_float_between_integers(opcode: str) -> None:
    g, x = start()
    y = in_float(
        g,
        lambda g, t: apply(g, opcode, t, g.rng.uniform(0.2, 2.0, OUT), False),
        g.linear(x, OUT),
    )
    assert opcodes(rewritten(g, y, by=RULE).graph) == ["FULLY_CONNECTED"]
    measured = accuracy(g, x, y, by=RULE)
    assert measured.rewritten > measured.plain - 0.5
