# SPDX-License-Identifier: Apache-2.0
"""Attention blocks whose queries do not see all keys alike: exact relations to smaller blocks.

That C and NumPy agree on random parameters is tested with all operators (kernels/, dsp/, tflm/).
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflm_custom_ops import generators
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import (
    Attention,
    LayerNorm,
    Linear,
    OptionsError,
    Pool,
    Projection,
    Residual,
    decode,
    encode,
    run_reference,
)
from tflm_custom_ops.ops.attention.params import BiasKind
from tflm_custom_ops.ops.parts import NormKind, NormPlace
from tflm_custom_ops.ops.rms_norm.params import RmsNorm
from tflm_custom_ops.reference.softmax import MASKED

shapes = settings(max_examples=12, deadline=None, derandomize=True)


def block(rng, tokens):
    op = generators.attention(rng, tokens=tokens, embed_dim=16, heads=2, head_dim=7, rank=0)
    multiplier = max(1 << 15, op.score_multiplier)
    return dataclasses.replace(op, score_multiplier=multiplier), generators.random_input(op, rng)


def of_the_first(op: Attention, tokens: int) -> Attention:
    return dataclasses.replace(op, tokens=tokens, key_tokens=tokens, causal=False, bias=None,
                               bias_kind=BiasKind.NONE, bias_shift=0)  # fmt: skip


def result(op: Attention, x: np.ndarray) -> np.ndarray:
    y = run_reference(op, x)
    assert np.array_equal(host_library.run(op, x), y)
    return y


@shapes
@given(tokens=st.integers(1, 30), seed=st.integers(0, 1000))
def test_a_causal_block_computes_what_the_tokens_before_give(tokens, seed):
    rng = np.random.default_rng(seed)
    op, x = block(rng, tokens)
    y = result(dataclasses.replace(op, causal=True), x)
    count = int(rng.integers(1, tokens + 1))
    assert np.array_equal(y[count - 1], result(of_the_first(op, count), x[:count])[-1])


@shapes
@given(tokens=st.integers(2, 30), seed=st.integers(0, 1000), full=st.booleans())
def test_masked_keys_are_as_if_they_were_not_there(tokens, seed, full):
    rng = np.random.default_rng(seed)
    op, x = block(rng, tokens)
    count = int(rng.integers(1, tokens))
    bias = np.zeros((op.heads, tokens, tokens) if full else (tokens, tokens), np.int16)
    bias[..., count:] = MASKED
    kind = BiasKind.FULL if full else BiasKind.MASK
    y = result(dataclasses.replace(op, bias=bias, bias_kind=kind, bias_shift=3), x)
    assert np.array_equal(y[:count], result(of_the_first(op, count), x[:count]))


@shapes
@given(tokens=st.integers(1, 30), seed=st.integers(0, 1000))
def test_a_bias_that_is_the_same_for_all_keys_changes_nothing(tokens, seed):
    rng = np.random.default_rng(seed)
    op, x = block(rng, tokens)
    rows = rng.integers(-20000, 20000, (op.heads, tokens, 1))
    bias = np.broadcast_to(rows, (op.heads, tokens, tokens)).astype(np.int16)
    biased = dataclasses.replace(op, bias=bias, bias_kind=BiasKind.FULL, bias_shift=2)
    assert np.array_equal(result(biased, x), result(op, x))


@shapes
@given(tokens=st.integers(1, 30), seed=st.integers(0, 1000))
def test_relative_tables_of_one_vector_change_nothing(tokens, seed):
    """Keys alike shift all scores of a query; of values alike the context has their sum."""
    rng = np.random.default_rng(seed)
    op, x = block(rng, tokens)
    op = generators.relative(op, rng)
    plain = dataclasses.replace(of_the_first(op, tokens), prefix_tokens=0, grid_height=0,
        grid_width=0, relative_distance=0, relative_keys=None, relative_key_shift=0,
        relative_values=None, relative_value_shift=0)  # fmt: skip
    entries = op.relative_keys.shape[0]
    alike = np.tile(op.relative_keys[:1], (entries, 1))
    nothing = np.zeros_like(op.relative_values)
    relative = dataclasses.replace(op, relative_keys=alike, relative_values=nothing)
    assert np.array_equal(result(relative, x), result(plain, x))
    assert (
        not np.any(op.relative_values)
        or not np.array_equal(
            run_reference(dataclasses.replace(op, relative_value_shift=0), x),
            run_reference(relative, x),
        )
        or tokens == 1
    )


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("kind", list(NormKind))
def test_without_a_norm_it_is_what_follows_one(added, kind):
    rng = np.random.default_rng(2)
    op = generators.attention(rng, tokens=7, embed_dim=16, heads=2, head_dim=7, bits=8)
    apart = Residual(8, op.residual.zero_point, 0, 0)
    x = generators.random_input(op, rng)
    norm = LayerNorm(7, 16, 8, Pool.NONE, 0, 0, 0, op.norm)
    if kind is NormKind.RMS:
        inner = dataclasses.replace(op.norm, kind=kind, beta=np.full(16, 256 * 3 + 128, np.int32))
        op = dataclasses.replace(op, norm=inner)
        norm = RmsNorm(7, 16, 8, op.residual.zero_point, 3, inner.gamma, inner.epsilon)
    bare = dataclasses.replace(op, norm=None, norm_place=NormPlace.ABSENT, residual=apart)
    h = run_reference(norm, x)
    assert np.array_equal(result(bare, h), result(dataclasses.replace(op, residual=apart), x))
    if added:
        with_x = dataclasses.replace(bare, residual=op.residual)
        assert not np.array_equal(result(with_x, h), result(bare, h))


def repeated(layer: Linear, heads: int, shared: int) -> Linear:
    """Each head's outputs ``shared`` times."""
    order = np.arange(layer.out_features).reshape(heads, 1, -1)
    order = np.repeat(order, shared, axis=1).reshape(-1)
    return dataclasses.replace(layer, weights=layer.weights[order], bias=layer.bias[order],
                               multiplier=layer.multiplier[order])  # fmt: skip


@shapes
@given(tokens=st.integers(1, 20), key_heads=st.integers(1, 3), shared=st.integers(1, 3),
       value_dim=st.integers(1, 12), rank=st.sampled_from([0, 4]), seed=st.integers(0, 1000),
       one=st.booleans())  # fmt: skip
def test_heads_that_share_keys_and_values(tokens, key_heads, shared, value_dim, rank, seed, one):
    """As if each had its own, of the same weights."""
    rng = np.random.default_rng(seed)
    heads = key_heads * shared
    op = generators.attention(rng, tokens=tokens, embed_dim=10, heads=heads, head_dim=5,
                              key_heads=key_heads, value_dim=value_dim, rank=rank)  # fmt: skip
    op = dataclasses.replace(op, heads_at_a_time=1 if one else heads)
    x = generators.random_input(op, rng)
    k, v = (dataclasses.replace(p, up=repeated(p.up, key_heads, shared)) for p in (op.k, op.v))
    own = dataclasses.replace(op, key_heads=heads, k=k, v=v)
    assert np.array_equal(result(op, x), result(own, x))


def test_values_that_no_output_reads_change_nothing():
    """A width of 7 for values of which the output projection reads 4 is one of 4."""
    rng = np.random.default_rng(6)
    op = generators.attention(rng, tokens=9, embed_dim=12, heads=2, head_dim=5, value_dim=7, rank=0)
    weights = op.out.up.weights.copy().reshape(12, 2, 7)
    weights[:, :, 4:] = 0
    read = np.arange(14).reshape(2, 7)[:, :4].reshape(-1)

    def layer(p: Linear, **changes) -> Projection:
        return Projection(dataclasses.replace(p, **changes))

    wide = dataclasses.replace(op, out=layer(op.out.up, weights=weights.reshape(12, 14)))
    v = layer(op.v.up, weights=op.v.up.weights[read], bias=op.v.up.bias[read],
              multiplier=op.v.up.multiplier[read])  # fmt: skip
    out = layer(op.out.up, weights=weights[:, :, :4].reshape(12, 8))
    narrow = dataclasses.replace(op, value_dim=4, v=v, out=out)
    x = generators.random_input(op, rng)
    assert np.array_equal(result(wide, x), result(narrow, x))


def test_a_head_has_its_own_bias():
    """Head h sees key h alone."""
    op, x = block(np.random.default_rng(3), 5)
    bias = np.full((2, 5, 5), MASKED, np.int16)
    bias[0, :, 0] = bias[1, :, 1] = 0
    y = result(dataclasses.replace(op, bias=bias, bias_kind=BiasKind.FULL), x)
    swapped = dataclasses.replace(op, bias=bias[::-1].copy(), bias_kind=BiasKind.FULL)
    assert not np.array_equal(y, result(swapped, x))


@pytest.mark.parametrize("kind", [BiasKind.FULL, BiasKind.MASK])
def test_a_bias_of_another_size_is_refused(kind):
    op, _ = block(np.random.default_rng(4), 6)
    shape = {BiasKind.FULL: (2, 6, 6), BiasKind.MASK: (6, 6)}[kind]
    good = dataclasses.replace(op, bias=np.zeros(shape, np.int16), bias_kind=kind)
    assert decode(*encode(good)).bias_count == good.bias.size
    for other in ((6, 6), (2, 6, 6), (2, 6, 7)):
        if other != shape:
            bad = dataclasses.replace(good, bias=np.zeros(other, np.int16))
            with pytest.raises(OptionsError, match="bias_count"):
                decode(*encode(bad))
