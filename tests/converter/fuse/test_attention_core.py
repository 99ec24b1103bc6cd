# SPDX-License-Identifier: Apache-2.0
"""Attention of projected tensors is found in every spelling and computes what the graph does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from converter.fuse import fuse_model, pipeline
from converter.fuse.arithmetic import Range
from converter.fuse.lower import lower
from converter.fuse.patterns.match import Match
from converter.plan import plan_model
from converter.runtimes import open_runtime
from converter.tflite import Graph, Quantization, parse
from tests.converter.fuse.checks import Outcome, outcome
from tests.converter.fuse.cores import CoreSpelling, attention_core, core_input
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import Params, decode
from tflm_custom_ops.ops.attention_core.params import AttentionCore

_TOLERANCE_DB = 6.0  # luck on a handful of numbers
_MINIMUM_DB = 26.0

_yes_no = st.booleans()
SPELLINGS = st.builds(
    CoreSpelling,
    batches=st.integers(1, 3),
    tokens=st.sampled_from([1, 3, 5]),
    keys=st.sampled_from([2, 5, 7]),
    key_heads=st.sampled_from([1, 1, 2, 3]),
    shared=st.integers(1, 3),
    head_dim=st.integers(3, 5),
    value_dim=st.integers(3, 6),
    packed=_yes_no,
    features_first=_yes_no,
    repeat=st.sampled_from(["tile", "broadcast", "concat", "product", "rows"]),
    scale=st.sampled_from(["q", "k", "scores", "divided", "none"]),
    key_first=_yes_no,
    key_transposed=_yes_no,
    value_transposed=_yes_no,
    context_first=_yes_no,
    bias=st.sampled_from(["none", "heads", "batches", "keys", "causal", "huge", "select"]),
    subtracted=_yes_no,
    turned=_yes_no,
    context=st.permutations([1, 2, 3]).map(lambda axes: (0, *axes)),
)


def built(s: CoreSpelling, seed: int = 0) -> tuple[PlainGraph, int, int]:
    g = PlainGraph(np.random.default_rng(seed))
    x = core_input(g, s)
    return g, x, attention_core(g, x, s)


def core_of(result: Outcome) -> AttentionCore:
    """The parameters of the one attention core."""
    graph: Graph = parse(result.model_bytes).graph
    (op,) = (o for o in graph.operators if o.custom_code == "VitAttentionCore")
    data = graph.tensors[op.inputs[-1]].data
    assert data is not None
    params = decode(op.custom_options, data.tobytes())
    assert isinstance(params, AttentionCore)
    return params


def fused(s: CoreSpelling, seed: int = 0) -> tuple[Outcome, AttentionCore]:
    g, x, y = built(s, seed)
    result = outcome(g, x, y)
    return result, core_of(result)


@given(SPELLINGS, st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None, derandomize=True, phases=[Phase.generate])
def test_every_spelling(s: CoreSpelling, seed: int) -> None:
    result, core = fused(s, seed)
    assert (core.batches * core.heads, core.tokens) == (s.batches * s.heads, s.tokens)
    left = {entry.name for entry in result.report.leftovers}
    assert left <= ({"SLICE"} if s.tokens != s.keys else set())  # of what is projected
    assert result.fused_db > min(_MINIMUM_DB, result.plain_db - _TOLERANCE_DB)


def test_shared_heads_and_packed_parts_are_read_in_place() -> None:
    _, core = fused(CoreSpelling(key_heads=2, shared=3, repeat="tile", keys=7))
    assert (core.heads, core.key_heads, core.k.elements) == (6, 2, 2 * 7 * 2 * 4)
    _, core = fused(CoreSpelling(packed=True))
    assert core.q.elements == core.k.elements == core.v.elements == 2 * 5 * 3 * 8
    assert (core.q.offset, core.k.offset, core.v.offset) == (0, 8, 16)


def test_bias_is_stored_once() -> None:
    """A position bias for all batches, a window mask for all heads, padding for all queries."""
    for bias, shape in (("heads", (1, 2, 5, 5)), ("batches", (2, 2, 5, 5)), ("keys", (2, 1, 5, 5))):
        _, core = fused(CoreSpelling(bias=bias))
        assert core.bias is not None
        assert core.bias.shape == shape


@pytest.mark.parametrize("bias", ["causal", "huge", "select", "times"])
@pytest.mark.parametrize("keys", [5, 8])
def test_causal_needs_no_bias(bias: str, keys: int) -> None:
    _, core = fused(CoreSpelling(bias=bias, keys=keys, scale="scores"))
    assert (core.causal, core.past_tokens, core.bias) == (True, keys - 5, None)


def test_the_least_float_hides_keys_where_products_have_its_steps() -> None:
    """Flax scales queries before the product, which then has the type of the mask behind it."""
    g, x, y = built(CoreSpelling(bias="select", scale="q"))
    chosen = next(op for op in g.operators if op.opcode == "SELECT_V2")
    coarse = Quantization.per_tensor(1.33e36, 127)
    for tensor in (*chosen.inputs[1:], *chosen.outputs):
        g.tensors[tensor] = dataclasses.replace(g.tensors[tensor], quantization=coarse)
    fill = chosen.inputs[2]
    g.tensors[fill] = dataclasses.replace(g.tensors[fill], data=np.array(-128, np.int8))
    result = outcome(g, x, y)
    core = core_of(result)
    assert (core.causal, core.bias) == (True, None)
    assert result.fused_db > _MINIMUM_DB


def test_constant_queries() -> None:
    """Learnt queries, as of a resampler: the constant is read where it is."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 9, 8)))
    k, v = (g.linear(x, 8) for _ in range(2))
    q = g.constant(g.rng.normal(0.0, 1.0, (1, 3, 8)))
    result = outcome(g, x, g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v))
    assert result.codes == {"VitLinear": 2, "VitAttentionCore": 1}
    assert result.fused_db > _MINIMUM_DB


@pytest.mark.parametrize("queries", [1, 3])
def test_weights_of_a_pooling_are_queries(queries: int) -> None:
    """Sequence pooling (CCT): a layer weighs the tokens; its bias is nothing to a softmax."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 9, 8)))
    h = g.linear(x, 8)
    scores = g.linear(h, queries, 3.0, per_channel=False)
    result = outcome(g, x, g.matmul(g.softmax(g.transpose(scores, 0, 2, 1)), h))
    assert result.codes == {"VitLinear": 1, "VitAttentionCore": 1}
    assert result.report.leftovers == ()
    assert core_of(result).tokens == queries
    assert result.fused_db > _MINIMUM_DB


def test_softmax_over_the_outputs_of_a_layer_is_no_attention() -> None:
    """Weights as keys would have a bias each; such a layer stays one."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 9, 8)))
    p = g.softmax(g.linear(x, 9, 3.0, per_channel=False))
    result = outcome(g, x, g.matmul(p, g.linear(x, 8)))
    assert result.codes == {"VitLinear": 2}


def test_heads_that_are_rows_of_the_scores_only() -> None:
    """As an einsum of one head of keys is lowered: rows (token, head), a TRANSPOSE, then heads."""
    g = PlainGraph(np.random.default_rng(1))
    x = g.input(g.rng.normal(0.0, 1.0, (2, 5, 8)))
    q = g.reshape(g.linear(x, 12, 2.0), 2, 15, 4)
    k, v = g.linear(x, 4, 2.0), g.linear(x, 6)
    scores = g.reshape(g.matmul(q, k, adj_y=True), 2, 5, 3, 5)
    context = g.matmul(g.softmax(g.transpose(scores, 2, 0, 1, 3)), v)
    result = outcome(g, x, g.reshape(g.transpose(context, 1, 2, 0, 3), 10, 18))
    assert result.codes == {"VitLinear": 3, "VitAttentionCore": 1}
    assert result.report.leftovers == ()
    core = core_of(result)
    sizes = (core.batches, core.heads, core.key_heads, core.tokens, core.value_dim)
    assert sizes == (2, 3, 1, 5, 6)
    assert result.fused_db > _MINIMUM_DB


def test_what_others_read_stays() -> None:
    """Keys by head go to an output as well: their TRANSPOSE stays, the core reads before it."""
    g = PlainGraph(np.random.default_rng(2))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    q, k, v = (g.transpose(g.reshape(g.linear(x, 8), 1, 5, 2, 4), 0, 2, 1, 3) for _ in range(3))
    context = g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v)
    report = fuse_model(g.finish(context, g.reshape(k, 2, 20))).report
    assert [f.custom_code for f in report.fused].count("VitAttentionCore") == 1
    assert sorted(entry.name for entry in report.leftovers) == ["RESHAPE", "RESHAPE", "TRANSPOSE"]


def test_float_softmax_between_integers() -> None:
    """As PT2E exports leave it: DEQUANTIZE, SOFTMAX in float, QUANTIZE."""
    g = PlainGraph(np.random.default_rng(3))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    q, k, v = (g.linear(x, 8) for _ in range(3))
    scores = g.matmul(q, k, adj_y=True)
    result = outcome(g, x, g.matmul(float_softmax(g, scores), v))
    assert result.codes == {"VitLinear": 3, "VitAttentionCore": 1}
    assert result.fused_db > _MINIMUM_DB


def float_softmax(g: PlainGraph, scores: int) -> int:
    """A softmax of float32 behind a DEQUANTIZE, quantized again."""
    first = len(g.tensors)
    p = g.softmax(g.unary("DEQUANTIZE", scores, g.value(scores)))
    g.in_float(first)
    return g.unary("QUANTIZE", p, g.value(p))


FAULTS: dict[str, Callable[[AttentionCore], AttentionCore]] = {
    "heads swapped": lambda op: dataclasses.replace(
        op,
        q=dataclasses.replace(
            op.q, head_stride=op.q.channel_stride, channel_stride=op.heads * op.q.channel_stride
        ),
    ),
    "offset of v": lambda op: dataclasses.replace(
        op, v=dataclasses.replace(op.v, offset=op.k.offset)
    ),
    "scores times 0.9": lambda op: dataclasses.replace(
        op, score_multiplier=int(0.9 * op.score_multiplier)
    ),
    "context times 1.05": lambda op: dataclasses.replace(
        op, context_numerator=int(1.05 * op.context_numerator)
    ),
    "a zero point of v": lambda op: dataclasses.replace(op, v_zero_point=op.v_zero_point - 3),
    "no bias": lambda op: dataclasses.replace(op, bias=None, bias_shift=0),
    "bias doubled": lambda op: dataclasses.replace(op, bias_shift=op.bias_shift + 1),
    "heads of the bias turned": lambda op: dataclasses.replace(op, bias=op.bias[:, ::-1].copy()),
    "not causal": lambda op: dataclasses.replace(op, causal=False, past_tokens=0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bias = "causal" if name == "not causal" else "heads"
    g, _, y = built(CoreSpelling(packed=True, bias=bias, batches=4, tokens=8, keys=8))
    content = g.finish(y)
    right = fuse_model(content).report.fused

    def wrong(match: Match, type_of: Callable[[int], Range]) -> Params:
        op = lower(match, type_of)
        return FAULTS[name](op) if isinstance(op, AttentionCore) else op

    monkeypatch.setattr(pipeline, "lower", wrong)
    report = fuse_model(content).report
    assert [f.custom_code for f in right] == ["VitLinear", "VitAttentionCore"]
    assert [f.custom_code for f in report.fused] == ["VitLinear"]
    assert any("probe inputs" in n.reason or "refused" in n.reason for n in report.not_fused)


def _scores(g: PlainGraph) -> tuple[int, int, int]:
    """(x, scores [1, 2, 5, 5], v)."""
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    q, k, v = (g.transpose(g.reshape(g.linear(x, 8), 1, 5, 2, 4), 0, 2, 1, 3) for _ in range(3))
    return x, g.matmul(q, k, adj_y=True), v


def _reason(g: PlainGraph, x: int, *outputs: int) -> str:
    report = fuse_model(g.finish(*outputs)).report
    assert "VitAttentionCore" not in [f.custom_code for f in report.fused]
    (entry,) = (n for n in report.not_fused if n.label == "block 0 attention core")
    return entry.reason


def test_reasons() -> None:
    g = PlainGraph(np.random.default_rng(4))
    x, scores, v = _scores(g)
    computed = g.add(scores, g.slice(x, (0, 0, 0), (1, 1, 5)))
    assert _reason(g, x, g.matmul(g.softmax(computed), v)) == (
        "scores and another tensor meet in ADD (op 11)"
    )
    g = PlainGraph(np.random.default_rng(4))
    x, scores, v = _scores(g)
    per_key = g.mul(scores, g.constant(np.arange(1.0, 6.0).reshape(1, 1, 1, 5)))
    assert _reason(g, x, g.matmul(g.softmax(per_key), v)) == (
        "scores go through MUL (op 10) before the softmax"
    )
    g = PlainGraph(np.random.default_rng(4))
    x, scores, v = _scores(g)
    p = g.softmax(scores)
    assert "is an output of the graph" in _reason(g, x, g.matmul(p, v), p)
    g = PlainGraph(np.random.default_rng(4))
    x, scores, v = _scores(g)
    over_queries = g.softmax(g.transpose(scores, 0, 2, 3, 1))
    assert _reason(g, x, g.matmul(g.transpose(over_queries, 0, 3, 1, 2), v)) == (
        "the softmax does not run over the keys of one query and head"
    )


def test_a_learned_query_is_no_buffer_of_the_arena() -> None:
    """Pooling by attention: what asks is a constant, and lies with the weights."""
    g = PlainGraph(np.random.default_rng(4))
    x = g.input(g.rng.normal(0.0, 1.0, (1, 5, 8)))
    k, v = (g.transpose(g.reshape(g.linear(x, 8), 1, 5, 2, 4), 0, 2, 1, 3) for _ in range(2))
    q = g.constant(g.rng.normal(0.0, 1.0, (1, 2, 1, 4)))
    y = g.matmul(g.softmax(g.matmul(q, k, adj_y=True)), v)
    content = fuse_model(g.finish(y)).model_bytes
    graph = parse(content).graph
    (core,) = (op for op in graph.operators if op.name == "VitAttentionCore")
    assert [graph.tensors[i].is_constant for i in core.inputs[:-1]] == [True, False, False]
    planned = plan_model(content).model_bytes
    values = np.random.default_rng(5).integers(-128, 128, (1, 5, 8)).astype(np.int8)
    (expected,) = open_runtime("reference", content).run(values)
    for name in ("host", "tflm"):
        np.testing.assert_array_equal(open_runtime(name, planned).run(values)[0], expected)
