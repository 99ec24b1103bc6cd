# SPDX-License-Identifier: Apache-2.0
"""Blocks on windows of a grid become one operator, however rolls and windows are written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse import window_blocks
from tests.converter.fuse.blocks import token_input
from tests.converter.fuse.checks import Outcome, outcome
from tests.converter.fuse.plain_graph import PlainGraph
from tests.converter.fuse.window_blocks import WindowSpelling, window_attention, window_branch
from tflm_custom_ops.ops import Attention, decode
from tflm_custom_ops.ops.attention.params import BiasKind

_MINIMUM_DB = 24.0
_TOLERANCE_DB = 6.0
_SPELLINGS = st.builds(
    WindowSpelling,
    window=st.integers(2, 4),
    down=st.integers(1, 3),
    across=st.integers(2, 3),
    shift=st.integers(0, 3),
    heads=st.integers(1, 3),
    cut=st.sampled_from(["five", "four"]),
    packed=st.booleans(),
    late=st.booleans(),
    early=st.booleans(),
    roll=st.sampled_from(["slices", "gather"]),
    bias=st.sampled_from(["none", "distance", "any"]),
    mask=st.sampled_from(["apart", "joined"]),
    score_rank_5=st.booleans(),
)


def fused(s: WindowSpelling, seed: int = 1) -> Outcome:
    g = PlainGraph(np.random.default_rng(seed))
    x = token_input(g, s.tokens, s.embed_dim)
    return outcome(g, x, window_attention(g, x, s))


def block_of(result: Outcome) -> Attention:
    graph = parse(result.model_bytes).graph
    (op,) = (op for op in graph.operators if op.custom_code == "VitAttention")
    blob = graph.tensors[op.inputs[-1]].data
    assert blob is not None
    params = decode(op.custom_options, blob.tobytes())
    assert isinstance(params, Attention)
    return params


@given(_SPELLINGS, st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate])
def test_every_spelling_is_one_block(s: WindowSpelling, seed: int) -> None:
    s = dataclasses.replace(s, shift=s.shift % s.window)
    result = fused(s, seed)
    assert result.codes == {"VitAttention": 1}, str(result.report)
    assert not result.report.leftovers
    block = block_of(result)
    assert (block.window, block.window_shift, block.heads) == (s.window, s.shift, s.heads)
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


@pytest.mark.parametrize("bias", ["none", "distance", "any"])
def test_what_the_block_stores(bias: str) -> None:
    """The roll's mask takes no table, Swin's bias an entry for each head and distance."""
    s = WindowSpelling(window=3, shift=1, bias=bias)
    block = block_of(fused(s))
    kind, size = {
        "none": (BiasKind.NONE, 0),
        "distance": (BiasKind.RELATIVE, s.heads * 5 * 5),
        "any": (BiasKind.FULL, s.heads * 9 * 9),
    }[bias]
    assert (block.bias_kind, block.bias_count) == (kind, size)
    assert (block.grid_height, block.grid_width, block.key_tokens) == (6, 9, 9)


@pytest.mark.parametrize("residual_bits", [8, 16])
@pytest.mark.parametrize("norm", [True, False])
def test_runtimes_compute_the_same(residual_bits: int, norm: bool) -> None:
    g = PlainGraph(np.random.default_rng(5))
    s = WindowSpelling(window=4, shift=2)
    x = token_input(g, s.tokens, s.embed_dim)
    h = g.layer_norm(x) if norm else x
    result = outcome(g, x, g.add(x, window_branch(g, h, s)), residual_bits)
    assert result.codes == {"VitAttention": 1}
    content = plan_model(result.model_bytes).model_bytes
    shape = open_runtime("reference", content).inputs[0].shape
    image = np.random.default_rng(6).integers(-128, 128, shape).astype(np.int8)
    expected = open_runtime("reference", content).run(image)[0]
    assert np.array_equal(open_runtime("host", content).run(image)[0], expected)


def test_a_square_without_windows_stores_distances() -> None:
    """One window that is the grid: all tokens see all."""
    s = WindowSpelling(window=3, down=1, across=1)
    block = block_of(fused(s))
    assert (block.bias_kind, block.tokens, block.key_tokens) == (BiasKind.RELATIVE, 9, 9)


def test_tokens_of_a_padded_grid_are_no_block() -> None:
    """The residual takes the tokens of some rows only; the reason says so."""
    s = WindowSpelling()
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, s.tokens, s.embed_dim)))
    size = (1, s.tokens - 3, s.embed_dim)
    parts = [g.slice(t, (0, 2, 0), size) for t in (x, window_branch(g, g.layer_norm(x), s))]
    result = outcome(g, x, g.add(*parts))
    assert result.codes["VitAttentionCore"] == 1
    assert "takes some of the attention's tokens" in str(result.report.not_fused[0])


def test_what_is_no_block_of_windows_stays_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its reason; the core is fused."""
    s = WindowSpelling(window=3, shift=1)

    def reason(spelling: WindowSpelling) -> str:
        result = fused(spelling)
        assert result.codes["VitAttention"] == 0
        assert result.codes["VitAttentionCore"] == 1
        return str(result.report.not_fused[0])

    monkeypatch.setattr(window_blocks, "apart", lambda s: np.zeros((s.windows, 9, 9), bool))
    assert "windows of a rolled grid see tokens of opposite edges" in reason(s)
    monkeypatch.undo()
    own = np.random.default_rng(1).normal(0.0, 1.0, (s.windows, s.heads, 9, 9))
    monkeypatch.setattr(window_blocks, "bias_of", lambda g, s: own)
    unrolled = dataclasses.replace(s, shift=0)
    assert "windows have different constants on their scores" in reason(unrolled)
    monkeypatch.undo()
    back = window_blocks.join
    monkeypatch.setattr(window_blocks, "join", lambda g, x, s, n: back(g, x, unrolled, n))
    assert "queries, keys, values and results are not of the same tokens" in reason(s)
