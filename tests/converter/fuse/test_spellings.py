# SPDX-License-Identifier: Apache-2.0
"""Blocks in every spelling are fused and compute what the plain graph computes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter import schedule
from converter.tflite import Quantization, parse
from tests.converter.fuse.blocks import (
    ACTIVATIONS,
    AttentionSpelling,
    attention,
    mlp,
    token_input,
)
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph, options
from tflm_custom_ops.ops import Attention, decode

# Fused results may be a little worse than plain ones by luck on a handful of numbers.
_TOLERANCE_DB = 6.0
_MINIMUM_DB = 26.0

SPELLINGS = st.builds(
    AttentionSpelling,
    tokens=st.integers(2, 9),
    heads=st.integers(1, 3),
    head_dim=st.integers(3, 8),
    embed_dim=st.integers(4, 12),
    packed=st.booleans(),
    parting=st.sampled_from(["split", "slice", "strided", "heads"]),
    scale=st.sampled_from(["q", "k", "scores", "none"]),
    key_first=st.booleans(),
    key_transposed=st.booleans(),
    value_transposed=st.booleans(),
    context_first=st.booleans(),
    features_first=st.booleans(),
    rank=st.sampled_from([0, 0, 3, 5]),
    skip_second=st.booleans(),
    rank_3=st.booleans(),
    per_channel=st.booleans(),
)


@given(SPELLINGS, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_attention_block(spelling: AttentionSpelling, seed: int) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, spelling.tokens, spelling.embed_dim, spelling.rank_3)
    y = attention(g, x, spelling)
    result = outcome(g, x, y)
    assert result.report.not_fused == ()
    assert result.codes == {"VitAttention": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


@pytest.mark.parametrize("part", ["scores", "softmax"])
@pytest.mark.parametrize("scale", ["q", "scores"])
@pytest.mark.parametrize("key_first", [False, True])
def test_scores_in_float_with_a_quantize_behind(part: str, scale: str, key_first: bool) -> None:
    """Fake quantization by hand: the block was fused in parts, its core alone."""
    spelling = AttentionSpelling(in_float=part, scale=scale, key_first=key_first)
    g = PlainGraph(np.random.default_rng(3))
    x = token_input(g, spelling.tokens, spelling.embed_dim)
    result = outcome(g, x, attention(g, x, spelling))
    assert result.codes == {"VitAttention": 1}
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


@given(
    st.sampled_from(ACTIVATIONS),
    st.sampled_from([0, 3]),
    st.booleans(),
    st.integers(4, 12),
    st.integers(3, 20),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_mlp_block(
    activation: str, rank: int, skip_second: bool, width: int, hidden: int, seed: int
) -> None:
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, 5, width)
    y = mlp(g, x, hidden, activation, rank, skip_second)
    result = outcome(g, x, y)
    assert result.report.not_fused == ()
    assert result.codes == {"VitMlp": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


def test_the_layer_that_q_k_and_v_share_runs_once() -> None:
    g = PlainGraph(np.random.default_rng(3))
    spelling = AttentionSpelling(packed=True, rank=3)
    x = token_input(g, spelling.tokens, spelling.embed_dim)
    graph = parse(outcome(g, x, attention(g, x, spelling)).model_bytes).graph
    (found,) = graph.operators
    blob = graph.tensors[found.inputs[-1]].data
    assert blob is not None
    op = decode(found.custom_options, blob.tobytes())
    assert isinstance(op, Attention)
    assert op.shared_down
    apart = dataclasses.replace(op, shared_down=False)
    assert schedule.cost(op).instructions < schedule.cost(apart).instructions


def test_two_blocks_share_nothing() -> None:
    g = PlainGraph(np.random.default_rng(3))
    spelling = AttentionSpelling()
    x = token_input(g, spelling.tokens, spelling.embed_dim)
    y = mlp(g, attention(g, mlp(g, attention(g, x, spelling)), spelling))
    result = outcome(g, x, y)
    labels = [op.label for op in result.report.fused]
    assert labels == ["block 0 attention", "block 0 mlp", "block 1 attention", "block 1 mlp"]
    assert result.report.ops_after == 4


@pytest.mark.parametrize("pool", ["mean", "slice", "gather"])
def test_layer_norm_with_pool(pool: str) -> None:
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, 16, 8)
    n = g.layer_norm(x)
    if pool == "mean":
        y = g.mean(n, 1, keep=False)
    elif pool == "slice":
        y = g.reshape(g.slice(n, (0, 0, 0), (1, 1, 8)), 1, 8)
    else:
        first = [n, g.indices(0, scalar=True)]
        y = g.op("GATHER", first, g.value(n)[:, 0], like=n, **options("GatherOptions", axis=1))
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > 28


def test_layer_norm_without_epsilon() -> None:
    """BERT's 1e-12 beside a variance is 0 in int8; a token without spread has no value then."""
    g = PlainGraph(np.random.default_rng(5))
    x = token_input(g, 16, 9)
    y = g.layer_norm(x, epsilon=0.0)
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1}
    assert result.report.ops_after == 1
    assert result.fused_db > 28


@pytest.mark.parametrize("zero_at_end", [True, False])
@pytest.mark.parametrize("rms", [False, True], ids=["layer", "rms"])
def test_relu_on_a_norm_is_the_end_of_its_type(rms: bool, zero_at_end: bool) -> None:
    """The head of an FT-Transformer: where int8 begins at 0, the ReLU is no operator."""
    g = PlainGraph(np.random.default_rng(5))
    x = token_input(g, 40, 16)
    n = g.rms_norm(x, g.rng.uniform(0.5, 1.5, 16)) if rms else g.layer_norm(x)
    last = g.operators[-1]
    last.options.fusedActivationFunction = 1
    g.values[n] = np.maximum(g.values[n], 0.0)
    high = float(g.values[n].max())
    ends = (high / 255, -128) if zero_at_end else (high / 127, 0)
    g.tensors[n] = dataclasses.replace(g.tensors[n], quantization=Quantization.per_tensor(*ends))
    result = outcome(g, x, g.linear(n, 12))
    assert (not result.report.leftovers) == zero_at_end
    assert result.fused_db > result.plain_db - 0.5


def turned_norm(g: PlainGraph, x: int) -> int:
    """tf_keras with its default epsilon: a batch norm of [1, features, 1, tokens]."""
    _, tokens, width = g.value(x).shape
    t = g.transpose(g.reshape(x, 1, tokens, width, 1), 0, 2, 3, 1)

    def mean(of: int) -> int:
        value = g.value(of).mean(axis=(0, 1, 2))
        opts = options("ReducerOptions", keepDims=False)
        return g.op("MEAN", [of, g.indices(0, 1, 2)], value, **opts)

    m = mean(t)
    squares = (g.value(t) - g.value(m)) ** 2
    v = mean(g.op("SQUARED_DIFFERENCE", [t, m], squares, **options("SquaredDifferenceOptions")))
    factor = g.rsqrt(g.add(v, g.constant(np.array(1e-3))))
    offset = g.sub(g.constant(np.zeros(tokens)), g.mul(m, factor))
    y = g.transpose(g.add(g.mul(t, factor), offset), 0, 3, 1, 2)
    y = g.mul(g.reshape(y, 1, tokens, width), g.constant(g.rng.uniform(0.5, 1.5, width)))
    return g.add(y, g.constant(g.rng.normal(0, 0.1, width)))


@pytest.mark.parametrize("tokens", [16, 33])
def test_layer_norm_as_a_batch_norm_of_the_turned_tensor(tokens: int) -> None:
    g = PlainGraph(np.random.default_rng(8))
    x = token_input(g, tokens, 16)
    h = g.linear(turned_norm(g, x), 24, activation="RELU")
    result = outcome(g, x, g.add(x, g.linear(h, 16)))
    assert dict(result.codes) == {"VitMlp": 1}
    assert not result.report.leftovers
    assert result.fused_db > result.plain_db - 0.5


def test_layer_norm_of_the_first_token() -> None:
    """The class token is taken before the LayerNorm: the operator reads the whole stream."""
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, 6, 8)
    stream = mlp(g, x)
    first = g.reshape(g.slice(stream, (0, 0, 0), (1, 1, 8)), 1, 8)
    result = outcome(g, x, g.layer_norm(first))
    assert result.codes == {"VitMlp": 1, "VitLayerNorm": 1}
    assert result.report.ops_after == 2
    assert result.fused_db > 28


@pytest.mark.parametrize("block", [False, True])
def test_layer_norm_in_float_between_integers(block: bool) -> None:
    """As PT2E exports leave it: DEQUANTIZE, the norm in float, QUANTIZE."""
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, 6, 8)
    stream = g.add(x, g.linear(x, 8))
    first = len(g.tensors)
    real = g.unary("DEQUANTIZE", stream, g.value(stream))
    n = g.layer_norm(real)
    g.in_float(first)
    h = g.unary("QUANTIZE", n, g.value(n))
    y = g.add(stream, g.linear(g.gelu(g.linear(h, 12)), 8)) if block else g.linear(h, 4)
    result = outcome(g, x, y)
    behind = {"VitLinear": 1, "VitMlp": 1} if block else {"VitLinear": 2, "VitLayerNorm": 1}
    assert result.codes == behind
    assert [left.name for left in result.report.leftovers] == ["ADD"]
    assert result.fused_db > 28


@pytest.mark.parametrize("tail", ["slice", "reshape"])
def test_layer_norm_as_litert_torch_writes_it(tail: str) -> None:
    """Mean and variance without an axis of one, put back by a RESHAPE; a SLICE takes a token."""
    tokens, width = 6, 8
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, tokens, width)

    def column(t: int) -> int:
        return g.reshape(t, 1, tokens, 1)

    mean = g.mean(x, 2, keep=False)
    centred = g.sub(x, column(mean))
    variance = g.mean(g.mul(centred, centred), 2, keep=False)
    rstd = g.rsqrt(g.add(variance, g.constant(np.array(1e-3))))
    shift = g.sub(g.constant(np.array(0.0)), g.mul(rstd, mean))
    n = g.add(g.mul(x, column(rstd)), column(shift))
    n = g.mul(n, g.constant(g.rng.uniform(0.5, 1.5, width)))
    n = g.add(n, g.constant(g.rng.normal(0, 0.1, width)))
    y = g.slice(n, (0, 0, 0), (1, 1, width)) if tail == "slice" else g.reshape(n, tokens, width)
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1}
    names = [left.name for left in result.report.leftovers]
    assert names == ([] if tail == "slice" else ["RESHAPE"])  # not part of the LayerNorm
    assert result.fused_db > 28


def test_mean_of_few_tokens_stays_builtin() -> None:
    """The pool's multiplier would not fit; the LayerNorm is fused all the same."""
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, 2, 8)
    result = outcome(g, x, g.mean(g.layer_norm(x), 1, keep=False))
    assert result.codes == {"VitLayerNorm": 1}
    assert [left.name for left in result.report.leftovers] == ["MEAN"]


def test_pool_of_another_token_stays() -> None:
    g = PlainGraph(np.random.default_rng(4))
    x = token_input(g, 6, 8)
    y = g.slice(g.layer_norm(x), (0, 2, 0), (1, 1, 8))
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1}
    assert [left.name for left in result.report.leftovers] == ["SLICE"]


def test_low_rank_pair_alone_and_wide_pair_not() -> None:
    for inner, codes in ((2, 1), (9, 2)):
        g = PlainGraph(np.random.default_rng(5))
        x = token_input(g, 4, 10)
        y = g.linear(g.linear(x, inner), 10)
        result = outcome(g, x, y)
        assert result.codes == {"VitLinear": codes}
        assert result.fused_db > 25
