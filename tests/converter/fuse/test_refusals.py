# SPDX-License-Identifier: Apache-2.0
"""What must not be fused stays builtin, with the reason, and still computes the same."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model, op_semantics
from converter.fuse.errors import NoMatchError
from converter.fuse.patterns.linear import integer_bias
from converter.fuse.wellformed import FORMS
from converter.tflite import Quantization, Tensor, TfliteError, parse, serialize
from tests.converter.fuse.blocks import AttentionSpelling, attention, mlp, project, token_input
from tests.converter.fuse.checks import outcome, run_fused, run_litert
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import Mlp, decode
from tflm_custom_ops.ops.parts import NormKind

SPELLING = AttentionSpelling()


def new_graph() -> tuple[PlainGraph, int]:
    g = PlainGraph(np.random.default_rng(1))
    return g, token_input(g, SPELLING.tokens, SPELLING.embed_dim)


def test_activation_on_the_queries() -> None:
    g, x = new_graph()
    y = attention(g, x, dataclasses.replace(SPELLING, activated=True))
    result = outcome(g, x, y)
    assert "VitAttention" not in result.codes
    assert str(result.report.not_fused[0]).startswith(
        "block 0 attention: only its core is fused: q comes from GELU (op"
    )
    # What half matches is still used: the LayerNorm and the linear layers.
    assert result.codes["VitLayerNorm"] == 1
    assert result.codes["VitLinear"] == 2
    assert result.codes["VitAttentionCore"] == 1
    add = next(entry for entry in result.report.leftovers if entry.name == "ADD")
    assert "of which only the core is fused" in add.reason
    assert result.fused_db > 25


def _read_probabilities(g: PlainGraph, x: int) -> tuple[int, int]:
    y = attention(g, x, SPELLING)
    p = next(i for i, t in enumerate(g.tensors) if t.name.startswith("softmax"))
    return y, g.mean(p, 3)


def _read_scores(g: PlainGraph, x: int) -> tuple[int, int]:
    y = attention(g, x, SPELLING)
    scores = next(i for i, t in enumerate(g.tensors) if t.name.startswith("batch_matmul"))
    return y, g.mean(scores, 3)


def _read_norm(g: PlainGraph, x: int) -> tuple[int, int]:
    y = mlp(g, x)
    fc1 = next(o for o in g.operators if o.opcode == "FULLY_CONNECTED")
    return y, g.mean(fc1.inputs[0], 2)


def _read_hidden(g: PlainGraph, x: int) -> tuple[int, int]:
    y = mlp(g, x)
    fc1 = next(o for o in g.operators if o.opcode == "FULLY_CONNECTED")
    return y, g.mean(fc1.outputs[0], 2)


@pytest.mark.parametrize("build", [_read_probabilities, _read_scores, _read_norm, _read_hidden])
def test_inner_tensor_with_a_second_reader(
    build: Callable[[PlainGraph, int], tuple[int, int]],
) -> None:
    g, x = new_graph()
    outputs = build(g, x)
    plain = g.finish(*outputs)
    result = fuse_model(plain)
    labels = {op.label for op in result.report.fused}
    assert not labels & {"block 0 attention", "block 0 mlp"}
    assert any("MEAN" in entry.reason for entry in result.report.not_fused)
    sample = g.quantized(x)[None]
    a, b = run_litert(plain, sample), run_fused(result.model_bytes, sample)
    assert np.max(np.abs(a.astype(int) - b.astype(int))) <= 6


def test_inner_tensor_as_graph_output() -> None:
    g, x = new_graph()
    y = mlp(g, x)
    fc1 = next(o for o in g.operators if o.opcode == "FULLY_CONNECTED")
    report = fuse_model(g.finish(y, fc1.outputs[0])).report
    assert not any(op.custom_code == "VitMlp" for op in report.fused)
    assert any("output of the graph" in entry.reason for entry in report.not_fused)


def test_block_input_may_have_other_readers() -> None:
    g, x = new_graph()
    t = attention(g, x, SPELLING)
    y = mlp(g, t)
    report = fuse_model(g.finish(y, g.mean(t, 2))).report
    assert [op.custom_code for op in report.fused] == ["VitAttention", "VitMlp"]


def test_cross_attention_is_refused() -> None:
    """q from another tensor than k and v."""
    g, x = new_graph()
    s = dataclasses.replace(SPELLING, packed=False)
    inner = s.heads * s.head_dim
    h = [g.layer_norm(x), g.layer_norm(g.add(x, g.constant(np.array(0.3))))]

    def by_head(t: int) -> int:
        return g.transpose(g.reshape(t, 1, s.tokens, s.heads, s.head_dim), 0, 2, 1, 3)

    q, k, v = (by_head(project(g, h[i], inner, s)) for i in (1, 0, 0))
    p = g.softmax(g.matmul(q, k, adj_y=True))
    c = g.reshape(g.transpose(g.matmul(p, v), 0, 2, 1, 3), 1, s.tokens, inner)
    y = g.add(x, g.linear(c, s.embed_dim))
    result = outcome(g, x, y)
    assert result.report.not_fused[0].reason == "q, k and v are made from different tensors"
    assert result.fused_db > 25


def test_tokens_in_another_order_are_refused() -> None:
    """Keys in reverse order would be fine for the softmax, but rows are not tokens then."""
    g, x = new_graph()
    s = SPELLING
    inner = s.heads * s.head_dim
    h = g.layer_norm(x)
    q, k, v = g.split(g.linear(h, 3 * inner), 3)
    # [tokens, inner] read as [inner, tokens]: a reshape in the place of a transpose.
    wrong = g.reshape(q, 1, s.heads, s.tokens, s.head_dim)

    def by_head(t: int) -> int:
        return g.transpose(g.reshape(t, 1, s.tokens, s.heads, s.head_dim), 0, 2, 1, 3)

    p = g.softmax(g.matmul(wrong, by_head(k), adj_y=True))
    c = g.transpose(g.matmul(p, by_head(v)), 0, 2, 1, 3)
    y = g.add(x, g.linear(g.reshape(c, 1, s.tokens, inner), s.embed_dim))
    result = outcome(g, x, y)
    assert result.report.not_fused[0].reason == "q mixes tokens"
    assert result.fused_db > 20


def test_softmax_over_the_wrong_axis_is_refused() -> None:
    g, x = new_graph()
    s = SPELLING
    inner = s.heads * s.head_dim
    h = g.layer_norm(x)

    def by_head(t: int) -> int:
        return g.transpose(g.reshape(t, 1, s.tokens, s.heads, s.head_dim), 0, 2, 1, 3)

    q, k, v = (by_head(t) for t in g.split(g.linear(h, 3 * inner), 3))
    p = g.transpose(g.softmax(g.matmul(k, q, adj_y=True)), 0, 1, 3, 2)
    c = g.transpose(g.matmul(p, v), 0, 2, 1, 3)
    y = g.add(x, g.linear(g.reshape(c, 1, s.tokens, inner), s.embed_dim))
    result = outcome(g, x, y)
    # k.q^T without the transpose: rows are keys, the softmax runs over queries. As written it is
    # attention with q and k exchanged, but its result is used transposed.
    assert "VitAttention" not in result.codes
    assert result.report.not_fused[0].reason == (
        "softmax output is not multiplied by v over the keys"
    )
    assert result.fused_db > 20


def test_softmax_of_a_classifier_is_no_attention() -> None:
    g, x = new_graph()
    y = g.softmax(g.linear(g.mean(mlp(g, x), 1, keep=False), 4))
    report = fuse_model(g.finish(y)).report
    assert report.not_fused == ()
    assert {left.name: left.reason for left in report.leftovers}["SOFTMAX"] == (
        "no fused operator does this"
    )


@pytest.mark.parametrize("skip_second", [False, True])
def test_every_residual_that_ends_no_block_has_a_reason(skip_second: bool) -> None:
    """A gated MLP is none that is known; it must not be silent."""
    g, x = new_graph()
    h = g.layer_norm(x)
    gate = g.unary("LOGISTIC", g.linear(h, 8), 1 / (1 + np.exp(-g.value(g.linear(h, 8)))))
    branch = g.linear(g.mul(gate, g.linear(h, 8)), SPELLING.embed_dim)
    y = g.add(branch, x) if skip_second else g.add(x, branch)
    entries = fuse_model(g.finish(y)).report.not_fused
    assert [e.label for e in entries] == [f"residual at ADD (op {len(g.operators) - 1})"]
    assert "is a function of several tensors" in entries[0].reason
    t = attention(g, x, dataclasses.replace(SPELLING, activated=True))
    entries = fuse_model(g.finish(t, y)).report.not_fused
    assert any("of which only the core is fused, SOFTMAX" in e.reason for e in entries)


def test_residual_around_another_operator_says_which() -> None:
    g, x = new_graph()
    y = g.add(x, g.gelu(g.linear(x, SPELLING.embed_dim)))
    entries = [e for e in fuse_model(g.finish(y)).report.not_fused if "residual" in e.label]
    assert "its branch ends in GELU (op 1), expected FULLY_CONNECTED" in entries[0].reason


def test_block_without_layer_norm_is_a_core() -> None:
    g, x = new_graph()
    y = g.add(x, g.linear(g.gelu(g.linear(x, 8)), SPELLING.embed_dim))
    result = outcome(g, x, y)
    assert [op.label for op in result.report.fused] == ["MLP core at FULLY_CONNECTED (op 2)"]
    assert str(result.report.not_fused[0]).startswith("block 0 mlp: only its core is fused: ")


def test_rms_norm_is_no_layer_norm() -> None:
    """x / sqrt(mean(x^2)) has the same operators but for the mean."""
    g, x = new_graph()
    square = g.mean(g.mul(x, x), 2)
    h = g.mul(x, g.rsqrt(g.add(square, g.constant(np.array(1e-3)))))
    y = g.add(x, g.linear(g.gelu(g.linear(h, 8)), SPELLING.embed_dim))
    result = outcome(g, x, y)
    assert result.codes == {"VitMlp": 1}
    (op,) = parse(result.model_bytes).graph.operators
    blob = parse(result.model_bytes).graph.tensors[op.inputs[-1]].data
    assert blob is not None
    params = decode(op.custom_options, blob.tobytes())
    assert isinstance(params, Mlp)
    assert params.norm is not None
    assert params.norm.kind is NormKind.RMS


def test_a_norm_of_absolute_values_is_neither() -> None:
    g, x = new_graph()
    size = g.mean(g.unary("ABS", x, np.abs(g.value(x))), 2)
    h = g.mul(x, g.rsqrt(g.add(size, g.constant(np.array(1e-3)))))
    y = g.add(x, g.linear(g.gelu(g.linear(h, 8)), SPELLING.embed_dim))
    result = outcome(g, x, y)
    assert result.codes["VitMlp"] == 1
    assert any("not a LayerNorm" in entry.reason for entry in result.report.not_fused)


def test_too_wide_layer_norm_is_refused_by_its_bound() -> None:
    g = PlainGraph(np.random.default_rng(1))
    x = token_input(g, 2, 2050)
    y = mlp(g, x, 4)
    result = outcome(g, x, y)
    assert "VitMlp" not in result.codes
    assert "embed_dim 2050, expected at most 2048" in result.report.not_fused[0].reason


def test_weights_far_from_their_zero_point_are_refused() -> None:
    g, x = new_graph()
    y = g.linear(x, 4)
    w = g.operators[0].inputs[1]
    q = g.tensors[w].quantization
    assert q is not None
    shifted = Quantization(q.scale, q.zero_point + 100, q.axis)
    g.tensors[w] = dataclasses.replace(g.tensors[w], quantization=shifted)
    report = fuse_model(g.finish(y)).report
    assert report.fused == ()
    assert "zero point" in report.not_fused[0].reason


@pytest.mark.parametrize("many", [False, True])
def test_gate_decides_on_weights_of_minus_128(many: bool) -> None:
    """One is clipped, which nobody sees; every second of a layer is too far from what it was."""
    g, x = new_graph()
    y = g.linear(x, 4, per_channel=False)
    w = g.operators[0].inputs[1]
    data = np.array(g.tensors[w].data)
    data.reshape(-1)[:: 2 if many else data.size] = -128
    g.tensors[w] = dataclasses.replace(g.tensors[w], data=data)
    report = fuse_model(g.finish(y)).report
    assert len(report.fused) == (0 if many else 1)
    assert all("from the float result" in entry.reason for entry in report.not_fused)


def test_fused_file_is_not_fused_again() -> None:
    g, x = new_graph()
    fused = fuse_model(g.finish(mlp(g, x))).model_bytes
    with pytest.raises(TfliteError, match=r"fused already \(VitMlp\)"):
        fuse_model(fused)


def test_activation_with_a_constant_per_channel_is_refused() -> None:
    g, x = new_graph()
    f = g.linear(g.layer_norm(x), 8)
    a = g.mul(g.gelu(f), g.constant(g.rng.uniform(0.5, 1.5, 8)))
    result = outcome(g, x, g.add(x, g.linear(a, SPELLING.embed_dim)))
    assert "VitMlp" not in result.codes
    assert result.codes["VitGelu"] == 1
    assert result.fused_db > 25


def test_residual_bits() -> None:
    g, x = new_graph()
    content = g.finish(mlp(g, x))
    with pytest.raises(ValueError, match="got 12, expected 8 or 16"):
        fuse_model(content, residual_bits=12)


def test_graph_without_anything_to_fuse_is_kept() -> None:
    g, x = new_graph()
    y = g.add(x, g.constant(np.array(1.0)))
    result = fuse_model(g.finish(y))
    assert [o.name for o in parse(result.model_bytes).graph.operators] == ["ADD"]
    assert result.report.leftovers[0].reason == "no fused operator does this"


@given(st.data())
@settings(max_examples=75, deadline=None, derandomize=True)
def test_damaged_file_is_refused_or_fused(data: st.DataObject) -> None:
    """No byte may lead to anything but a TfliteError or a file that parses."""
    content = bytearray(_whole_network())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        result = fuse_model(bytes(content))
    except TfliteError:
        return
    parse(result.model_bytes)


@functools.cache
def _whole_network() -> bytes:
    g, x = new_graph()
    y = mlp(g, attention(g, x, SPELLING))
    return g.finish(g.linear(g.mean(g.layer_norm(y), 1, keep=False), 3))


@given(st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_operator_without_its_operands(data: st.DataObject) -> None:
    """Parts of one operator go missing: an error that names it, or the rest is fused."""
    model = parse(_whole_network())
    operators = list(model.graph.operators)
    index = data.draw(st.integers(0, len(operators) - 1))
    change = data.draw(st.sampled_from(["options", "inputs", "swap"]))
    op = operators[index]
    if change == "options":
        op = dataclasses.replace(op, options=None, options_type=0)
    elif change == "inputs":
        op = dataclasses.replace(op, inputs=op.inputs[:1])
    else:
        op = dataclasses.replace(op, inputs=op.inputs[::-1])
    operators[index] = op
    graph = dataclasses.replace(model.graph, operators=tuple(operators))
    damaged = serialize(dataclasses.replace(model, graph=graph))
    try:
        parse(fuse_model(damaged).model_bytes)
    except TfliteError as error:
        if f"operator {index} ({op.opcode})" not in str(error):
            raise


def test_every_operator_that_is_evaluated_has_a_form() -> None:
    tables = (
        op_semantics.VIEWS,
        op_semantics.JOINS,
        op_semantics.POINTWISE,
        op_semantics.REDUCTIONS,
    )
    tables += (op_semantics.BROADCASTS, op_semantics.SOFTMAX_PARTS)
    names = {name for table in tables for name in table}
    assert names <= set(FORMS)


def test_a_bias_of_another_scale_is_converted_or_refused_never_overflowed() -> None:
    scale = Quantization(np.array([1e20, 0.5], np.float32), np.zeros(2, np.int64))
    bias = Tensor("b", (2,), np.dtype(np.int32), scale, np.array([3, 3], np.int32))
    assert integer_bias(bias, np.array([1e20, 0.25]), "it").tolist() == [3, 6]
    with np.errstate(all="raise"), pytest.raises(NoMatchError, match="far from that of its produ"):
        integer_bias(bias, np.array([1.0, 0.25]), "it")


def test_a_layer_in_float_inside_a_branch_refuses_that_branch_and_not_the_file() -> None:
    """Quantizers leave single layers in float (timm's MobileViT, QAT without its LayerNorm): the
    file was refused, for the float tensor has no scale to say what an activation function is."""
    g, x = new_graph()
    first = len(g.tensors)
    hidden = g.linear(g.unary("DEQUANTIZE", x, g.value(x)), 16)
    g.in_float(first)
    weights = g.operators[-1].inputs[1]
    real = g.rng.normal(0, 0.3, g.tensors[weights].shape).astype(np.float32)  # no steps of 8 bits
    g.tensors[weights] = dataclasses.replace(g.tensors[weights], data=real)
    y = g.add(x, g.linear(g.unary("QUANTIZE", hidden, g.value(hidden)), SPELLING.embed_dim))
    result = fuse_model(g.finish(y))
    reasons = [str(entry) for entry in result.report.not_fused]
    assert any(
        "residual at ADD" in reason and "the activation function's input is float32" in reason
        for reason in reasons
    ), reasons
    assert parse(result.model_bytes).graph.operators
