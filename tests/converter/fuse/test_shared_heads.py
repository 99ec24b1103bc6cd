# SPDX-License-Identifier: Apache-2.0
"""Whole blocks whose heads share keys and values, of values of another width, behind any norm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import parse
from tests.converter.fuse.checks import Outcome, outcome
from tests.converter.fuse.cores import CoreSpelling, attention_core, core_input
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import Attention, Mlp, Params, decode
from tflm_custom_ops.ops.parts import NormKind, NormPlace

_TOLERANCE_DB = 6.0
_MINIMUM_DB = 26.0
_WIDTH = 6

_yes_no = st.booleans()
_SPELLINGS = st.builds(
    CoreSpelling,
    batches=st.just(1),
    tokens=st.just(5),
    keys=st.just(5),
    key_heads=st.sampled_from([1, 2, 3]),
    shared=st.integers(1, 3),
    head_dim=st.integers(3, 5),
    value_dim=st.integers(3, 6),
    packed=_yes_no,
    features_first=_yes_no,
    repeat=st.sampled_from(["tile", "broadcast", "concat", "product"]),
    scale=st.sampled_from(["q", "scores", "none"]),
    key_first=_yes_no,
    key_transposed=_yes_no,
    value_transposed=_yes_no,
    context_first=_yes_no,
    bias=st.sampled_from(["none", "heads", "causal"]),
    context=st.just((0, 2, 1, 3)),
)


def norm(g: PlainGraph, x: int, kind: str) -> int:
    if kind == "rms":
        return g.rms_norm(x, g.rng.normal(1.0, 0.3, _WIDTH))
    return g.layer_norm(x) if kind == "layer" else x


def fused(s: CoreSpelling, seed: int, kind: str, residual_bits: int = 8) -> Outcome:
    g = PlainGraph(np.random.default_rng(seed))
    x = core_input(g, s)
    context = attention_core(g, norm(g, x, kind), s)
    branch = g.linear(g.reshape(context, 1, s.tokens, s.heads * s.value_dim), _WIDTH, 0.5)
    return outcome(g, x, g.add(x, branch), residual_bits)


def params_of(result: Outcome) -> Params:
    graph = parse(result.model_bytes).graph
    (op,) = graph.operators
    blob = graph.tensors[op.inputs[-1]].data
    assert blob is not None
    return decode(op.custom_options, blob.tobytes())


@given(_SPELLINGS, st.sampled_from(["layer", "rms", "none"]), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.generate])
def test_every_spelling_is_one_block(s: CoreSpelling, kind: str, seed: int) -> None:
    result = fused(s, seed, kind)
    assert result.codes == {"VitAttention": 1}, str(result.report)
    assert not result.report.leftovers
    block = params_of(result)
    assert isinstance(block, Attention)
    assert (block.heads, block.key_heads, block.value_dim) == (s.heads, s.key_heads, s.value_dim)
    assert (block.norm_place is NormPlace.ABSENT) == (kind == "none")
    assert block.norm is None or block.norm.kind is NormKind[kind.upper()]
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


@pytest.mark.parametrize("residual_bits", [8, 16])
def test_runtimes_compute_the_same(residual_bits: int) -> None:
    s = CoreSpelling(batches=1, key_heads=2, shared=2, value_dim=5)
    content = plan_model(fused(s, 1, "rms", residual_bits).model_bytes).model_bytes
    reference, host = (open_runtime(name, content) for name in ("reference", "host"))
    shape = reference.inputs[0].shape
    x = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    assert np.array_equal(reference.run(x)[0], host.run(x)[0])


def test_an_mlp_behind_an_rms_norm() -> None:
    g = PlainGraph(np.random.default_rng(3))
    x = core_input(g, CoreSpelling(batches=1))
    hidden = g.gelu(g.linear(norm(g, x, "rms"), 12))
    result = outcome(g, x, g.add(x, g.linear(hidden, _WIDTH, 0.5)))
    mlp = params_of(result)
    assert isinstance(mlp, Mlp)
    assert mlp.norm is not None
    assert mlp.norm.kind is NormKind.RMS
    assert result.fused_db > _MINIMUM_DB
