# SPDX-License-Identifier: Apache-2.0
"""Attention between projected tensors: near the real function, the same in every runtime.

That C and NumPy agree on random parameters is tested with all operators (kernels/, dsp/, tflm/).
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.plan import plan_model
from converter.plan.stored import plan_of
from converter.runtimes import open_runtime
from converter.runtimes.tflm import op_models
from converter.runtimes.tflm.op_models import Activation
from converter.tflite import parse, serialize
from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.kernels import comparison
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import (
    AttentionCore,
    OptionsError,
    View,
    decode,
    encode,
    operator_of,
    run_reference,
)
from tflm_custom_ops.ops.attention_core.params import is_whole
from tflm_custom_ops.ops.attention_core.reference import seen
from tflm_custom_ops.reference.softmax import MASKED

SCALE = 0.03  # of q, k and v


def rows(batches: int, tokens: int, heads: int, channels: int) -> View:
    """``[batches, tokens, heads * channels]``."""
    width = heads * channels
    return View(batches * tokens * width, 0, tokens * width, channels, width, 1)


def operator(
    tokens: int = 9, key_tokens: int = 13, heads: int = 4, key_heads: int = 2, **changes
) -> AttentionCore:
    """Two batches, 16 channels of keys and 10 of values, of scale SCALE; the result's is 0.02."""
    unit = SCALE * SCALE / 4  # of a score: 1 / sqrt(16)
    values = {
        "q": rows(2, tokens, heads, 16),
        "k": rows(2, key_tokens, key_heads, 16),
        "v": rows(2, key_tokens, key_heads, 10),
        "out": rows(2, tokens, heads, 10),
        "q_zero_point": 3,
        "k_zero_point": -7,
        "v_zero_point": 11,
        "score_multiplier": round(np.log2(np.e) * unit * 256 * 2.0**32),
        "score_shift": 0,
        "exp_table": generators.exp_table(key_tokens),
        "context_numerator": round(SCALE / 0.02 * 2.0**48),
        "context_zero_point": -4,
    }
    sizes = (2, tokens, key_tokens, heads, key_heads, 16, 10)
    return AttentionCore(*sizes, token_tile=4, **values | changes)


def real_attention(op: AttentionCore, q, k, v, bias: np.ndarray) -> np.ndarray:
    """``[batches, heads, tokens, value_dim]`` of the tensors that the integers stand for."""
    sizes = ((op.heads, op.tokens, op.head_dim), *[(op.key_heads, op.key_tokens)] * 2)
    q = SCALE * (seen(op.q, q, op.batches, *sizes[0]) - op.q_zero_point)
    k = SCALE * (seen(op.k, k, op.batches, *sizes[1], op.head_dim) - op.k_zero_point)
    v = SCALE * (seen(op.v, v, op.batches, *sizes[2], op.value_dim) - op.v_zero_point)
    k, v = (np.repeat(x, op.heads // op.key_heads, axis=1) for x in (k, v))
    scores = q @ k.transpose(0, 1, 3, 2) / 4 + bias
    if op.causal:
        late = np.arange(op.key_tokens) > np.arange(op.tokens)[:, None] + op.past_tokens
        scores = np.where(late, -np.inf, scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("zero_point", [-7, 90])
def test_result_is_the_real_one_rounded(causal, biased, zero_point):
    rng = np.random.default_rng(5)
    unit = SCALE * SCALE / 4
    changes = {"causal": causal, "past_tokens": 2 if causal else 0, "k_zero_point": zero_point}
    bias = np.zeros((2, 4, 9, 13))
    if biased:
        bias = rng.normal(0, 1, (2, 4, 9, 13))
        integers = np.rint(bias / unit / 2)
        bias[:, :, :, 3] = -np.inf
        changes["bias"] = np.where(bias < -1e9, MASKED, integers).astype(np.int16)
        changes["bias_shift"] = 1
    op = operator(**changes)
    xs = [rng.integers(-128, 128, t.shape).astype(np.int8) for t in operator_of(op).inputs]
    y = seen(op.out, run_reference(op, *xs), op.batches, op.heads, op.tokens, op.value_dim)
    expected = np.clip(real_attention(op, *xs, bias) / 0.02 - 4, -128, 127)
    assert np.abs(y - expected).max() <= 0.5 + 0.3
    assert np.array_equal(host_library.run(op, *xs), run_reference(op, *xs))


def test_keys_that_are_masked_have_no_part_in_the_result():
    rng = np.random.default_rng(6)
    bias = np.zeros((1, 1, 9, 13), np.int16)
    bias[..., 5:] = MASKED
    op = operator(bias=bias)
    q, k, v = (rng.integers(-128, 128, t.shape).astype(np.int8) for t in operator_of(op).inputs)
    other_k, other_v = k.copy(), v.copy()
    for view, tensor, width in ((op.k, other_k, 16), (op.v, other_v, 10)):
        late = view.indices(2, 2, 13, width)[:, :, 5:]
        tensor[late] = rng.integers(-128, 128, late.shape)
    assert np.array_equal(run_reference(op, q, k, v), run_reference(op, q, other_k, other_v))


def test_a_row_whose_keys_are_all_masked_weighs_them_alike():
    bias = np.full((1, 1, 9, 13), MASKED, np.int16)
    bias[0, 0, 1:] = 0
    op = operator(bias=bias)
    rng = np.random.default_rng(7)
    q, k, v = (rng.integers(-128, 128, t.shape).astype(np.int8) for t in operator_of(op).inputs)
    y = seen(op.out, run_reference(op, q, k, v), 2, 4, 9, 10)[:, :, 0]
    mean = seen(op.v, v, 2, 2, 13, 10).mean(axis=2).repeat(2, axis=1)
    expected = (mean - op.v_zero_point) * SCALE / 0.02 - 4
    assert np.abs(y - np.clip(expected, -128, 127)).max() <= 0.5 + 0.02
    assert np.array_equal(host_library.run(op, q, k, v), run_reference(op, q, k, v))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    tokens=st.integers(1, 60),
    key_tokens=st.integers(1, 300),
    heads=st.integers(1, 4),
    head_dim=st.integers(1, 70),
    value_dim=st.integers(1, 70),
    biased=st.booleans(),
    causal=st.booleans(),
    extreme=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernel_is_the_reference_in_any_shape(seed, extreme, **shape):
    rng = np.random.default_rng(seed)
    op = generators.attention_core(rng, extreme=extreme, **shape)
    xs = generators.random_inputs(op, rng, extreme=extreme)
    assert comparison.mismatches(host_library.library(), op, xs, rng) == 0


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 4),
    strides=st.tuples(*[st.integers(0, 12)] * 4),
    offset=st.integers(0, 1),
    ordered=st.permutations(range(4)),
    use_order=st.booleans(),
)
def test_whole_views_are_those_with_each_element_once(sizes, strides, offset, ordered, use_order):
    strides, elements = list(strides), int(np.prod(sizes))
    if use_order:
        step, offset = 1, 0
        for axis in ordered:
            strides[axis] = step
            step *= sizes[axis]
    view = View(elements, offset, *strides)
    numbers = np.sort(view.indices(*sizes), axis=None)
    assert is_whole(view, *sizes) == np.array_equal(numbers, np.arange(elements))


@pytest.mark.parametrize("name", ["q", "k", "v", "out"])
def test_a_view_beyond_its_tensor_is_refused(name):
    op = operator()
    good = getattr(op, name)
    assert decode(*encode(op)).tokens == op.tokens
    for view in (
        dataclasses.replace(good, elements=good.elements - 1),
        dataclasses.replace(good, offset=1),
        dataclasses.replace(good, token_stride=good.token_stride + 1),
    ):
        with pytest.raises(OptionsError, match=r"elements|element of the output once"):
            decode(*encode(dataclasses.replace(op, **{name: view})))


def packed_operator() -> AttentionCore:
    """q, k and v are parts of one tensor [batches, tokens, 3, heads, 16]."""
    q, k, v = (View(2 * 9 * 96, part * 32, 9 * 96, 16, 96, 1) for part in range(3))
    op = operator(9, 9, 2, 2, q=q, k=k, v=v, k_zero_point=3, v_zero_point=3)
    return dataclasses.replace(op, value_dim=16, out=rows(2, 9, 2, 16))


def model_of(op: AttentionCore, shared: bool) -> bytes:
    """Three inputs, or one for all three."""
    zero_points = [t.zero_point for t in operator_of(op).inputs]
    specs = [
        Activation((1, *t.shape), "int8", SCALE, z)
        for t, z in zip(operator_of(op).inputs, zero_points, strict=True)
    ]
    y = Activation((1, op.out.elements), "int8", 0.02, op.context_zero_point)
    model = op_models.chain(specs, [op_models.custom_op(op, y)])
    if shared:
        (custom,) = model.graph.operators
        custom = dataclasses.replace(custom, inputs=(0, 0, 0, custom.inputs[-1]))
        graph = dataclasses.replace(model.graph, operators=(custom,), inputs=(0,))
        model = dataclasses.replace(model, graph=graph)
    return plan_model(serialize(model)).model_bytes


def test_the_result_takes_the_place_of_the_queries_where_their_views_are_one():
    same = {"q": rows(2, 9, 4, 16), "out": rows(2, 9, 4, 16), "v": rows(2, 13, 2, 16)}
    op = dataclasses.replace(operator(), value_dim=16, **same)
    apart = dataclasses.replace(op, out=View(op.out.elements, 0, 9 * 64, 9 * 16, 16, 1))
    used = [plan_of(parse(model_of(o, False))).arena_bytes for o in (op, apart)]
    assert used[1] - used[0] == op.out.elements
    assert operator_of(op).in_place
    assert not operator_of(apart).in_place
    assert not operator_of(packed_operator()).in_place


@pytest.mark.parametrize("runtime", ["host", "tflm"])
@pytest.mark.parametrize("shared", [False, True], ids=["three tensors", "one tensor"])
def test_every_runtime_computes_the_definition(runtime, shared):
    same = {"q": rows(2, 9, 4, 16), "out": rows(2, 9, 4, 16), "v": rows(2, 13, 2, 16)}
    op = dataclasses.replace(operator(causal=True), value_dim=16, **same)
    op = packed_operator() if shared else op
    planned = model_of(op, shared)
    rng = np.random.default_rng(8)
    reference, other = open_runtime("reference", planned), open_runtime(runtime, planned)
    for _ in range(3):
        xs = [rng.integers(-128, 128, spec.shape).astype(np.int8) for spec in reference.inputs]
        y = reference.run(*xs)[0]
        assert np.array_equal(y, other.run(*xs)[0])
        given_ = xs * 3 if shared else xs
        assert np.array_equal(y.ravel(), run_reference(op, *given_))
