# SPDX-License-Identifier: Apache-2.0
"""Integer parameters: near the real function, within their ranges, refused where they would not be.

The integers are run through the NumPy reference, whose own overflow checks would raise.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from converter.fuse.arithmetic import (
    INT32_MAX,
    Range,
    activation_table,
    exp_table,
    fixed_point,
    linear_params,
    norm_params,
    scalar_fixed_point,
)
from converter.fuse.errors import BoundError, NoMatchError
from converter.fuse.patterns.linear import integer_bias
from converter.tflite import Quantization, Tensor
from tflm_custom_ops.reference.linear import linear
from tflm_custom_ops.reference.norm import normalize

_SEED = st.integers(0, 2**32 - 1)
_ZERO = st.integers(-128, 127)
_SCALE = st.floats(1e-4, 1.0)


@given(st.floats(1e-9, 16000.0), st.integers(1, 2**16 - 1))
def test_multiplier_is_the_factor(factor: float, largest: int) -> None:
    multiplier, shift = scalar_fixed_point(factor, largest, "x")
    assert 0 <= multiplier <= INT32_MAX
    assert largest << shift <= INT32_MAX
    assert multiplier * 2.0 ** (shift - 32) == pytest.approx(factor, abs=2.0 ** (shift - 33))
    assert shift == 0 or factor >= 2.0 ** (shift - 2)  # the smallest shift that fits


def test_multiplier_limits() -> None:
    with pytest.raises(BoundError, match="leaves 32 bits"):
        scalar_fixed_point(3.0, 2**29, "sum")
    with pytest.raises(BoundError, match="too large"):
        scalar_fixed_point(2.0**15, 1, "sum")
    with pytest.raises(BoundError, match="got factor nan"):
        fixed_point(np.array([np.nan]), 1, "sum")
    with pytest.raises(BoundError, match="expected a finite positive"):
        scalar_fixed_point(-0.1, 1, "sum")


@given(st.integers(1, 40), st.integers(1, 9), _ZERO, _ZERO, _SCALE, _SCALE, st.booleans(), _SEED)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_linear(
    k: int, n: int, z_x: int, z_y: int, s_x: float, s_y: float, wide: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-127, 128, (n, k)).astype(np.int8)
    s_w = rng.uniform(1e-3, 0.02, n)
    bias = rng.integers(-5000, 5000, n)
    source = Range(s_x, z_x)
    target = Range.int16(s_y * 127) if wide else Range(s_y, z_y)
    try:
        p = linear_params(w, bias, s_x * s_w / target.scale, source, target, "layer")
    except BoundError:
        assume(False)
    x = rng.integers(-128, 128, (6, k))
    real = (s_x * (x - z_x)) @ (w * s_w[:, None]).T + bias * s_x * s_w
    exact = np.clip(real / target.scale + target.zero_point, target.low, target.high)
    # Half a step for the rounding, and half a unit of the multiplier times the shifted sum.
    largest = np.max(np.abs(x @ w.T.astype(np.int64) + p.bias)) * 2.0**p.shift
    assert np.max(np.abs(linear(p, x) - exact)) <= 0.5 + largest / 2**33 + 1e-6
    assert p.multiplier.min() >= 0


@given(st.integers(1, 300), st.integers(1, 4), _ZERO, st.integers(-128, 0), _SEED)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_largest_sum_is_that_of_the_worst_inputs(
    k: int, n: int, zero: int, low: int, seed: int
) -> None:
    """The shifted bound is refused from exactly the sum on that some inputs reach."""
    rng = np.random.default_rng(seed)
    w = rng.integers(-127, 128, (n, k)).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, n)
    source = Range(0.1, zero, low=low)
    wide = w.astype(np.int64)
    folded = bias - zero * wide.sum(axis=1)
    ends = np.stack([wide * source.low, wide * source.high])
    sums = [folded + ends.max(axis=0).sum(axis=1), folded + ends.min(axis=0).sum(axis=1)]
    largest = int(np.abs(sums).max())
    # A factor of 2**s needs a shift of s + 2.
    fits = (INT32_MAX // largest).bit_length() - 1
    for shift in (fits, fits + 1):
        factors = np.full(n, 2.0 ** (shift - 2))
        target = Range(1.0, 0)
        if shift <= fits and shift <= 15:
            assert linear_params(w, bias, factors, source, target, "layer").shift == shift
        else:
            with pytest.raises(BoundError):
                linear_params(w, bias, factors, source, target, "layer")


def test_linear_bounds() -> None:
    w = np.full((2, 600), 127, np.int8)
    bias = np.array([0, 2**31])
    with pytest.raises(BoundError, match=r"a sum of up to \d+ leaves 32 bits"):
        linear_params(w, bias, np.full(2, 1e-6), Range(1.0, 0), Range(1.0, 0), "layer")
    # The same sum is small enough, but not shifted for so large a factor.
    with pytest.raises(BoundError, match="shifted left by 11"):
        linear_params(w, bias * 0, np.full(2, 900.0), Range(1.0, 0), Range(1.0, 0), "layer")


@given(
    st.integers(8, 64),  # epsilon is an integer over width squared: coarse for narrower ones
    st.booleans(),
    _ZERO,
    st.floats(0.01, 0.2),
    st.sampled_from([1e-6, 1e-5, 1e-3, 0.1]),
    _SEED,
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_norm(width: int, wide: bool, z_y: int, s_y: float, epsilon: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = Range.int16(6.0) if wide else Range(0.05, int(rng.integers(-20, 20)))
    target = Range(s_y, z_y)
    gamma, beta = rng.normal(1, 0.3, width), rng.normal(0, 0.3, width)
    p = norm_params(gamma, beta, epsilon, source, target, "norm")
    x = rng.integers(source.low // 2, source.high // 2, (5, width))
    real = source.scale * (x - source.zero_point)
    deviation = np.sqrt(real.var(axis=1, keepdims=True) + epsilon)
    y = (real - real.mean(axis=1, keepdims=True)) / deviation * gamma + beta
    exact = np.clip(y / s_y + z_y, -128, 127)
    # q has 15..16 bits: a relative error of 2**-15 of up to 256 steps, and u has 8 fraction bits.
    assert np.max(np.abs(normalize(p, x) - exact)) <= 0.5 + 0.03


def test_norm_bounds() -> None:
    one = np.ones(4)
    with pytest.raises(BoundError, match="at most 2048 of int8 values"):
        norm_params(np.ones(2049), np.zeros(2049), 1e-6, Range(0.1, 0), Range(0.1, 0), "norm")
    with pytest.raises(BoundError, match="at most 640 of int16 values"):
        norm_params(np.ones(641), np.zeros(641), 1e-6, Range.int16(6.0), Range(0.1, 0), "norm")
    with pytest.raises(BoundError, match="gamma"):
        norm_params(one, 0 * one, 1e-6, Range(0.1, 0), Range(1e-5, 0), "norm")
    with pytest.raises(BoundError, match="gamma or beta"):
        norm_params(one, 1e4 * one, 1e-6, Range(0.1, 0), Range(1e-3, 0), "norm")
    with pytest.raises(BoundError, match="epsilon"):
        norm_params(one, 0 * one, 1.0, Range(1e-7, 0), Range(0.1, 0), "norm")


@given(st.integers(1, 4096))
def test_exponentials_sum_below_23_bits(tokens: int) -> None:
    table = exp_table(tokens)
    assert int(table[0]) * tokens < 2**23
    assert np.all(np.diff(table.astype(int)) <= 0)
    assert table[255] == pytest.approx(table[0] * 2.0 ** (-255 / 256), abs=0.5)


def test_exponentials_of_too_many_tokens() -> None:
    with pytest.raises(BoundError, match="no bits"):
        exp_table(2**23)


def test_activation_table_rounds_and_saturates() -> None:
    values = np.linspace(-20.0, 20.0, 256)
    table = activation_table(values, Range(0.1, 3))
    assert table[0] == -128
    assert table[-1] == 127
    middle = np.abs(values) < 10
    assert np.max(np.abs(table[middle] - (values[middle] / 0.1 + 3))) <= 0.5


@pytest.mark.parametrize("ratio", [1.0, 0.5, 3.0])
def test_bias_in_the_units_of_the_sum(ratio: float) -> None:
    """The file's integers as they are where its bias scale is the sum's, else the nearest ones."""
    unit = np.array([1e-3, 2e-3])
    stored = np.array([-1000, 77], np.int32)
    quantization = Quantization((unit * ratio).astype(np.float32), np.zeros(2, np.int64))
    bias = Tensor("b", (2,), stored.dtype, quantization, stored)
    expected = np.floor(stored * ratio + 0.5).astype(int)
    assert integer_bias(bias, unit, "layer").tolist() == expected.tolist()
    assert integer_bias(None, unit, "layer").tolist() == [0, 0]


def test_bias_that_is_no_constant() -> None:
    quantization = Quantization.per_tensor(0.1, 0)
    with pytest.raises(NoMatchError, match="no quantized constant of 2"):
        integer_bias(Tensor("b", (2,), np.dtype(np.int32), quantization), np.ones(2), "layer")


def test_input_zero_point_is_folded_into_the_bias() -> None:
    w = np.array([[1, -2, 3], [4, 5, 6]], np.int8)
    p = linear_params(w, np.array([10, 20]), np.full(2, 0.01), Range(1.0, 7), Range(1.0, 0), "l")
    assert p.bias.tolist() == [10 - 7 * 2, 20 - 7 * 15]
