# SPDX-License-Identifier: Apache-2.0
"""Attention without a LayerNorm before it: in post-norm and parallel blocks, x added or not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse.blocks import AttentionSpelling, attention_branch, token_input
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import Attention, decode
from tflm_custom_ops.ops.attention.params import BiasKind

_MINIMUM_DB = 26.0
_TOLERANCE_DB = 6.0
_SPELLINGS = st.builds(
    AttentionSpelling,
    packed=st.booleans(),
    parting=st.sampled_from(["split", "slice", "cube"]),
    scale=st.sampled_from(["q", "k", "scores"]),
    key_first=st.booleans(),
    context_first=st.booleans(),
    rank=st.sampled_from([0, 3]),
    layer_scale=st.booleans(),
)


@given(
    _SPELLINGS,
    st.sampled_from(["none", "x + f", "f + x"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])
def test_attention_without_norm(s: AttentionSpelling, added: str, behind: bool, seed: int) -> None:
    """`behind`: a LayerNorm follows, as in a post-norm block. Not added: to another tensor."""
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, s.tokens, s.embed_dim)
    h = g.gelu(x)
    branch = attention_branch(g, h, s)
    other = x if added == "none" else h
    y = g.add(branch, other) if added == "f + x" else g.add(other, branch)
    if behind:
        y = g.layer_norm(y)
    result = outcome(g, x, y)
    assert result.codes["VitAttention"] == 1
    assert set(result.codes) <= {"VitAttention", "VitLayerNorm", "VitGelu"}
    left = [entry.name for entry in result.report.leftovers]
    assert left == (["ADD"] if added == "none" else [])
    (entry,) = (n for n in result.report.not_fused if n.label == "block 0 attention")
    assert str(entry).startswith("block 0 attention: fused without its norm: ")
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


def test_norm_that_others_read() -> None:
    """A parallel block: both branches read one LayerNorm, and are added to the stream."""
    g = PlainGraph(np.random.default_rng(1))
    s = AttentionSpelling()
    x = token_input(g, s.tokens, s.embed_dim)
    h = g.layer_norm(x)
    y = g.add(g.add(x, attention_branch(g, h, s)), g.linear(h, s.embed_dim))
    result = outcome(g, x, y)
    assert result.codes == {"VitLayerNorm": 1, "VitAttention": 1, "VitLinear": 1}
    assert [entry.name for entry in result.report.leftovers] == ["ADD", "ADD"]
    assert result.fused_db > _MINIMUM_DB


@pytest.mark.parametrize("with_norm", [True, False])
@pytest.mark.parametrize("kind", ["any", "causal", "one key"])
def test_constants_on_the_scores_are_part_of_the_block(with_norm: bool, kind: str) -> None:
    g = PlainGraph(np.random.default_rng(3))
    s = dataclasses.replace(AttentionSpelling(), mask=True)
    x = token_input(g, s.tokens, s.embed_dim)
    hidden = {
        "any": np.zeros((s.tokens, s.tokens), bool),
        "causal": np.triu(np.ones((s.tokens, s.tokens), bool), 1),
        "one key": np.arange(s.tokens) == 1,
    }[kind]
    mask = np.where(hidden, -100.0, 0.0) + np.zeros((s.tokens, s.tokens))
    if kind == "any":
        mask = g.rng.normal(0.0, 1.0, (s.heads, s.tokens, s.tokens))
    s = dataclasses.replace(s, added_mask=mask)
    h = g.layer_norm(x) if with_norm else x
    result = outcome(g, x, g.add(x, attention_branch(g, h, s)))
    assert result.codes == {"VitAttention": 1}
    assert not result.report.leftovers
    (op,) = parse(result.model_bytes).graph.operators
    blob = parse(result.model_bytes).graph.tensors[op.inputs[-1]].data
    assert blob is not None
    params = decode(op.custom_options, blob.tobytes())
    assert isinstance(params, Attention)
    expected = {"any": BiasKind.FULL, "causal": BiasKind.NONE, "one key": BiasKind.MASK}[kind]
    assert (params.causal, params.bias_kind) == (kind == "causal", expected)
    assert result.fused_db > _MINIMUM_DB


def test_a_norm_of_the_block_is_no_bare_one() -> None:
    g = PlainGraph(np.random.default_rng(2))
    s = AttentionSpelling()
    x = token_input(g, s.tokens, s.embed_dim)
    result = outcome(g, x, g.add(x, attention_branch(g, g.layer_norm(x), s)))
    assert result.codes == {"VitAttention": 1}
    assert result.report.not_fused == ()


@pytest.mark.parametrize("runtime", ["host", "tflm"])
def test_every_runtime_computes_the_definition(runtime: str) -> None:
    g = PlainGraph(np.random.default_rng(2))
    s = dataclasses.replace(AttentionSpelling(), rank=0)
    x = token_input(g, s.tokens, s.embed_dim)
    h = g.layer_norm(g.add(x, attention_branch(g, x, s)))
    y = attention_branch(g, h, s)
    fused = fuse_model(g.finish(g.layer_norm(g.add(x, y)))).model_bytes
    planned = plan_model(fused).model_bytes
    rng = np.random.default_rng(8)
    reference, other = open_runtime("reference", planned), open_runtime(runtime, planned)
    for _ in range(3):
        values = rng.integers(-128, 128, reference.inputs[0].shape).astype(np.int8)
        assert np.array_equal(reference.run(values)[0], other.run(values)[0])
