# SPDX-License-Identifier: Apache-2.0
"""The rule for sums that share a stream: both sides of its limit, every channel, and on reading."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflm_custom_ops import generators
from tflm_custom_ops import host_library
from tflm_custom_ops.exact_sums import SUM_LIMIT, exact_k_block, is_exact
from tflm_custom_ops.ops import (
    Linear,
    LinearOp,
    OptionsError,
    Projection,
    Status,
    decode,
    encode,
    pack_dual_channel,
)

MASK = (1 << 32) - 1


def signed(value: int, bits: int) -> int:
    """The low ``bits`` of a number as a signed one."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def separated(sums: list[int]) -> list[int]:
    """Four sums after three streams modulo 2**32, as the cores take them apart."""
    t = [(sums[i] + 256 * sums[i + 1]) & MASK for i in range(3)]
    out = [signed(t[0] - (t[1] << 8) + (t[2] << 16), 24)]
    for stream in t:
        out.append(signed(stream - out[-1], 32) >> 8)
    return out


def limit_layer(channel: int, k: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Four channels of small sums but for one, whose furthest sum with its bias is ``target``."""
    weights = np.ones((4, k), np.int8)
    weights[channel] = 127 if target > 0 else -127
    # Weights of one sign reach furthest where all inputs are -128.
    reach = 128 * 127 * k
    bias = np.zeros(4, np.int32)
    weights[channel] *= -1
    bias[channel] = target - reach if target > 0 else target + reach
    return weights, bias


@pytest.mark.parametrize("channel", range(4))
@pytest.mark.parametrize("target", [SUM_LIMIT - 1, SUM_LIMIT, -SUM_LIMIT, -SUM_LIMIT - 1])
def test_both_sides_of_the_limit(channel: int, target: int) -> None:
    k = 500
    weights, bias = limit_layer(channel, k, target)
    inside = -SUM_LIMIT <= target < SUM_LIMIT
    assert is_exact(weights, bias, k + 2) == inside
    assert exact_k_block(weights, bias) == (k + 2 if inside else k)
    # The rule is what the arithmetic needs: one step further and another sum is read.
    x = np.full(k, -128, np.int64)
    sums = [int(s) for s in weights.astype(np.int64) @ x + bias]
    assert sums[channel] == target
    assert (separated(sums) == sums) == inside


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(-SUM_LIMIT, SUM_LIMIT - 1),
            st.sampled_from([-SUM_LIMIT, SUM_LIMIT - 1, -1, 0, 1]),
        ),
        min_size=4,
        max_size=4,
    )
)
def test_sums_within_the_limit_come_apart(sums: list[int]) -> None:
    assert separated(sums) == sums


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 7),
    k=st.integers(1, 1400),
    block=st.integers(1, 800),
    spread=st.sampled_from([10, 1 << 20, 1 << 23, 1 << 25]),
)
def test_rule_is_the_worst_input(seed: int, n: int, k: int, block: int, spread: int) -> None:
    """The bound is reached by an input, block by block."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([-127, -126, 0, 100, 127], (n, k)).astype(np.int8)
    weights[rng.integers(n)] = rng.choice([-127, 127])
    bias = rng.integers(-spread, spread, n).astype(np.int32)
    worst = True
    for start in range(0, k, 2 * block):
        w = weights[:, start : start + 2 * block].astype(np.int64)
        high = np.where(w > 0, 127, -128) * w
        low = np.where(w > 0, -128, 127) * w
        for offset in (0, bias) if 2 * block > (k + 1) // 2 * 2 else (0,):
            worst &= bool((high.sum(1) + offset < SUM_LIMIT).all())
            worst &= bool((low.sum(1) + offset >= -SUM_LIMIT).all())
    assert is_exact(weights, bias, 2 * block) == worst
    linear = Linear(weights, bias, np.full(n, 1 << 20, np.int32), k_block=2 * block)
    assert c_status(linear) is (Status.OK if worst else Status.BAD_SUMS)
    chosen = exact_k_block(weights, bias)
    assert chosen % 2 == 0
    assert is_exact(weights, bias, chosen)
    assert chosen >= min(256, (k + 1) // 2 * 2)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8])
def test_any_channel_decides(n: int) -> None:
    """Even channels, odd ones, and those of a last group that is not full."""
    for channel in range(n):
        weights = np.zeros((n, 520), np.int8)
        weights[channel] = 127
        assert exact_k_block(weights, np.zeros(n, np.int32)) == 260
        weights[channel] = 0
        bias = np.zeros(n, np.int32)
        bias[channel] = SUM_LIMIT
        assert exact_k_block(weights, bias) == 520


@pytest.mark.parametrize("k", [1, 2, 511, 512, 513])
def test_a_bias_out_of_range_leaves_the_row_whole(k: int) -> None:
    weights = np.full((3, k), 127, np.int8)
    bias = np.array([0, 0, 1 << 30], np.int32)
    assert exact_k_block(weights, bias) == (k + 1) // 2 * 2


def c_status(linear: Linear) -> Status:
    """What a device says of a layer's sums."""
    library = host_library.library()
    return library.check_sums(library.parse(LinearOp(1, 1, Projection(linear))))


def read_back(linear: Linear) -> Linear:
    """The layer after encoding and decoding."""
    op = decode(*encode(LinearOp(1, 1, Projection(linear))))
    assert isinstance(op, LinearOp)
    return op.projection.up


def test_reading_refuses_blocks_that_are_too_long() -> None:
    weights, bias = limit_layer(0, 500, SUM_LIMIT)
    linear = Linear(weights, bias, np.full(4, 1 << 20, np.int32), k_block=500)
    assert read_back(linear).k_block == 500
    for block in (502, 1000):  # what the old rule (odd channels, no bias) would have stored
        with pytest.raises(OptionsError, match=f"got k_block {block}, .* fuse the model again"):
            read_back(dataclasses.replace(linear, k_block=block))
    for block, reason in ((0, "expected 2 .. "), (-2, "expected 2 .. "), (7, "k_block % 2 == 0")):
        with pytest.raises(OptionsError, match=reason):
            read_back(dataclasses.replace(linear, k_block=block))


def test_reading_takes_any_block_that_is_exact() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        linear = generators.linear(rng, int(rng.integers(1, 9)), int(rng.integers(1, 200)))
        for block in (2, 64, linear.k_block):
            assert read_back(dataclasses.replace(linear, k_block=block)).k_block == block


def test_reading_refuses_a_weight_of_minus_128() -> None:
    """Packed int16 can hold it, the middle pair of four channels cannot."""
    linear = Linear(np.ones((2, 2), np.int8), np.zeros(2, np.int32), np.ones(2, np.int32))
    op, library = LinearOp(1, 1, Projection(linear)), host_library.library()
    options, blob = encode(op)
    packed = pack_dual_channel(linear.weights).tobytes()
    assert blob.count(packed) == 1
    for pair in (-128, -128 * 256, 128 * 256 - 1):  # low byte, high byte, 128 as high byte
        crafted = blob.replace(packed, np.array([[pair, 1]], np.int16).tobytes())
        with pytest.raises(OptionsError, match="weight of -128"):
            decode(options, crafted)
        memory = host_library.aligned_bytes(len(crafted))
        memory[:] = np.frombuffer(crafted, np.uint8)
        parsed = library.parse_bytes(op, np.frombuffer(options, np.uint8), memory)
        assert library.check_sums(parsed) is Status.BAD_SUMS
