# SPDX-License-Identifier: Apache-2.0
"""LayerNorm of more than 640 int8 features: near the real one where its values are largest, the
same in C; int16 features stay at 640."""

import dataclasses

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tests.tflm_custom_ops.kernels import comparison
from tflm_custom_ops import host_library
from tflm_custom_ops.ops import OptionsError, decode, encode, run_reference
from tflm_custom_ops.ops.layer_norm.operator import weightless
from tflm_custom_ops.ops.layer_norm.params import LayerNorm
from tflm_custom_ops.ops.parts import Norm

SCALE, OUT_SCALE, ZERO = 0.02, 0.4, 3


def layer_norm(width, tokens):
    gamma, beta = np.full(width, 1 / OUT_SCALE * 2.0**18), np.full(width, (ZERO + 0.5) * 256)
    norm = Norm(np.rint(gamma).astype(np.int32), np.rint(beta).astype(np.int32), width**2)
    return LayerNorm(tokens, width, 8, 0, 0, 1, 0, norm)


def spikes(width):
    """One feature apart from all others: the largest normalized value there is, sqrt(width - 1)."""
    rng = np.random.default_rng(width)
    x = np.full((6, width), -128, np.int8)
    x[0, 0], x[1, -1] = 127, -127
    x[2] = np.where(np.arange(width) % 2, 127, -128)
    x[3], x[3, width // 2] = 127, -128
    x[4:] = rng.integers(-128, 128, (2, width))
    return x


@pytest.mark.parametrize("width", [641, 768, 2047, 2048])
def test_result_is_the_real_one_rounded(width):
    x = spikes(width)
    op = layer_norm(width, len(x))
    real = x * SCALE
    epsilon = SCALE**2  # `width**2` in the operator's units
    deviation = np.sqrt(real.var(axis=1, keepdims=True) + epsilon)
    expected = (real - real.mean(axis=1, keepdims=True)) / deviation / OUT_SCALE + ZERO
    found = run_reference(op, x)
    assert np.abs(found - np.clip(expected, -128, 127)).max() <= 0.5 + 0.03
    assert comparison.mismatches(host_library.library(), op, x, np.random.default_rng(0)) == 0


def test_blocks_of_wide_tokens_are_the_same_in_c():
    rng = np.random.default_rng(1)
    for op in (
        generators.mlp(rng, tokens=5, embed_dim=1100, hidden_dim=33, bits=8),
        generators.attention(rng, tokens=5, embed_dim=1100, heads=2, head_dim=12, bits=8),
    ):
        x = generators.random_inputs(op, rng)
        assert comparison.mismatches(host_library.library(), op, x, rng) == 0


def test_int16_features_stay_at_640():
    rng = np.random.default_rng(0)
    for op in (
        generators.layer_norm(rng, tokens=2, embed_dim=640, bits=16),
        generators.mlp(rng, tokens=2, embed_dim=640, hidden_dim=8, bits=16),
        generators.layer_norm(rng, tokens=2, embed_dim=2048, bits=8),
        generators.attention(rng, tokens=2, embed_dim=768, heads=1, head_dim=8, bits=8),
    ):
        decode(*encode(op))
    wide = generators.layer_norm(rng, tokens=2, embed_dim=641, bits=8)
    with pytest.raises(OptionsError):
        decode(*encode(dataclasses.replace(wide, input_bits=16)))
    with pytest.raises(OptionsError):
        decode(*encode(generators.layer_norm(rng, tokens=2, embed_dim=2049, bits=8)))


def test_what_the_device_refuses_is_not_planned():
    assert weightless(4, 2048).embed_dim == 2048
    assert weightless(4, 640, bits=16).embed_dim == 640
    for width, bits, told in ((2049, 8, "make the tokens narrower$"), (641, 16, "stream int8$")):
        with pytest.raises(ValueError, match=told):
            weightless(4, width, bits=bits)
