# SPDX-License-Identifier: Apache-2.0
"""The C kernels equal the NumPy reference bit for bit, on any shape, schedule and parameter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflm_custom_ops import extreme_sums, generators
from tests.tflm_custom_ops.kernels import comparison
from tflm_custom_ops import host_library
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.host_library import HostLibrary
from tflm_custom_ops.ops import Attention, Linear, LinearOp, OpKind, Projection, run_reference

# Planted faults show within these (benchmarks/mutations/of_portable.py); the sanitizers run others.
COUNT = 400


@pytest.fixture(scope="module")
def library() -> HostLibrary:
    return host_library.library()


@pytest.mark.parametrize("kind", list(OpKind), ids=lambda kind: kind.name)
def test_random_operators(kind: OpKind, library: HostLibrary) -> None:
    for seed in range(COUNT):
        assert comparison.mismatches_of_seed(library, kind, seed) == 0, f"seed {seed}"


seeds = st.integers(0, 2**32 - 1)
# Few-example profiles: each example runs several schedules, and seeds already cover the bulk.
quick = settings(max_examples=40, deadline=None, derandomize=True)


@quick
@given(
    tokens=st.integers(1, 70),
    dim=st.integers(1, 80),
    heads=st.integers(1, 5),
    head_dim=st.integers(1, 70),
    rank=st.sampled_from([0, 0, 1, 3, 8, 33]),
    bits=st.sampled_from([8, 16]),
    extreme=st.booleans(),
    seed=seeds,
)
def test_attention(tokens, dim, heads, head_dim, rank, bits, extreme, seed) -> None:
    rng = np.random.default_rng(seed)
    op = generators.attention(
        rng,
        tokens=tokens,
        embed_dim=dim,
        heads=heads,
        head_dim=head_dim,
        rank=rank,
        bits=bits,
        extreme=extreme,
    )
    x = generators.random_input(op, rng, extreme=extreme)
    assert comparison.mismatches(host_library.library(), op, x, rng) == 0


@quick
@given(
    tokens=st.integers(1, 60),
    dim=st.integers(1, 100),
    hidden=st.integers(1, 300),
    rank=st.sampled_from([0, 0, 1, 7, 32]),
    bits=st.sampled_from([8, 16]),
    extreme=st.booleans(),
    seed=seeds,
)
def test_mlp(tokens, dim, hidden, rank, bits, extreme, seed) -> None:
    rng = np.random.default_rng(seed)
    op = generators.mlp(
        rng,
        tokens=tokens,
        embed_dim=dim,
        hidden_dim=hidden,
        rank=rank,
        bits=bits,
        extreme=extreme,
    )
    x = generators.random_input(op, rng, extreme=extreme)
    assert comparison.mismatches(host_library.library(), op, x, rng) == 0


@quick
@given(
    patch=st.integers(1, 9),
    grid=st.integers(1, 8),
    stride=st.integers(1, 10),
    channels=st.integers(1, 4),
    dim=st.integers(1, 90),
    bits=st.sampled_from([8, 16]),
    seed=seeds,
)
def test_patch_embed(patch, grid, stride, channels, dim, bits, seed) -> None:
    rng = np.random.default_rng(seed)
    op = generators.patch_embed(
        rng,
        embed_dim=dim,
        patch=patch,
        grid=grid,
        stride=stride,
        channels=channels,
        bits=bits,
    )
    x = generators.random_input(op, rng)
    assert comparison.mismatches(host_library.library(), op, x, rng) == 0


@pytest.mark.parametrize("tokens", [1, 2, 3, 225, 226, 257, 300, 515])
def test_attention_of_many_tokens(tokens: int, library: HostLibrary) -> None:
    """Several blocks of expanded values (257, 515 tokens), fewer bits of the exponentials."""
    rng = np.random.default_rng(tokens)
    op = generators.attention(rng, tokens=tokens, embed_dim=24, heads=2, head_dim=17)
    x = generators.random_input(op, rng)
    op = dataclasses.replace(op, token_tile=min(tokens, 100))  # several blocks of query rows
    assert comparison.mismatches(library, op, x, rng) == 0


@pytest.mark.parametrize("heads_at_a_time", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_vit_t_240_block(heads_at_a_time: int, bits: int, library: HostLibrary) -> None:
    rng = np.random.default_rng(bits)
    op = generators.attention(
        rng, tokens=225, embed_dim=192, heads=3, head_dim=64, rank=0, bits=bits
    )
    op = dataclasses.replace(op, token_tile=6, heads_at_a_time=heads_at_a_time)
    x = generators.random_input(op, rng)
    assert np.array_equal(library.run(op, x), run_reference(op, x))


def saturated_linear(inputs: int, outputs: int, sign: int) -> LinearOp:
    """Weights of 127 everywhere: the packed sums at the limit of their exactness."""
    weights = np.full((outputs, inputs), 127 * sign, np.int8)
    bias = np.zeros(outputs, np.int32)
    linear = Linear(
        weights=weights,
        bias=bias,
        multiplier=np.full(outputs, 1000, np.int32),
        k_block=exact_k_block(weights, bias),
    )
    return LinearOp(rows=5, token_tile=4, projection=Projection(linear))


@pytest.mark.parametrize("inputs", [1, 511, 512, 513, 514, 516, 1024, 1530, 3072])
@pytest.mark.parametrize("sign", [1, -1])
def test_exactness_limit(inputs: int, sign: int, library: HostLibrary) -> None:
    op = saturated_linear(inputs, 7, sign)
    assert op.projection.up.k_block <= 518
    for value in (-128, 127):
        x = np.full((5, inputs), value, np.int8)
        assert np.array_equal(library.run(op, x), run_reference(op, x))


@pytest.mark.parametrize("target", extreme_sums.TARGETS)
def test_sums_next_to_the_limit(target: int, library: HostLibrary) -> None:
    rng = np.random.default_rng(abs(target))
    for n in (1, 3, 4, 7):
        for channels in [*([c] for c in range(n)), list(range(n))]:
            op = extreme_sums.layer(rng, n, channels, target, rows=5)
            x = np.full((5, op.projection.up.in_features), -128, np.int8)
            assert np.array_equal(library.run(op, x), run_reference(op, x))


def test_norms_next_to_the_mean(library: HostLibrary) -> None:
    op, x = generators.near_the_mean(np.random.default_rng(0))
    assert np.array_equal(library.run(op, x), run_reference(op, x))


@pytest.mark.parametrize("head_dim", [1, 255, 256])
def test_largest_head(head_dim: int, library: HostLibrary) -> None:
    rng = np.random.default_rng(head_dim)
    op = generators.attention(rng, tokens=7, embed_dim=5, heads=2, head_dim=head_dim, extreme=True)
    assert isinstance(op, Attention)
    x = generators.random_input(op, rng, extreme=True)
    assert comparison.mismatches(library, op, x, rng) == 0
