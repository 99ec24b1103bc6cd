# SPDX-License-Identifier: Apache-2.0
"""RMSNorm: near the real function, found in a plain graph, the same in every runtime.

That C and NumPy agree on random parameters is tested with all operators (kernels/, dsp/, tflm/).
"""

import dataclasses

import numpy as np
import pytest

from converter.plan import plan_model
from converter.runtimes import open_runtime
from tests.converter.fuse.blocks import token_input
from tests.converter.fuse.checks import outcome
from tests.converter.fuse.plain_graph import PlainGraph
from tflm_custom_ops.ops import residual_dtype, run_reference
from tflm_custom_ops.ops.rms_norm.params import RmsNorm

TOKENS, WIDTH = 6, 32
EPSILON = 1e-6


def real_rms_norm(x, gamma, epsilon):
    """Zhang and Sennrich 2019, equation 4."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * gamma


@pytest.mark.parametrize(("bits", "zero_point"), [(8, -128), (8, -3), (8, 127), (16, 0)])
@pytest.mark.parametrize("width", [1, 31, 640])
def test_result_is_the_real_one_rounded(bits, zero_point, width):
    rng = np.random.default_rng(width)
    scale, out_scale = 0.02, 0.03
    high = (1 << (bits - 1)) - 1
    x = rng.integers(-high - 1, high, (9, width), endpoint=True).astype(residual_dtype(bits))
    gamma = rng.normal(1.0, 0.2, width)
    op = RmsNorm(
        tokens=9,
        embed_dim=width,
        input_bits=bits,
        input_zero_point=zero_point,
        out_zero_point=5,
        gamma=np.rint(gamma / out_scale * 2.0**18).astype(np.int32),
        epsilon=round(EPSILON * width**2 / scale**2),
    )
    real = real_rms_norm((x.astype(float) - zero_point) * scale, gamma, EPSILON)
    expected = np.clip(real / out_scale + 5, -128, 127)
    assert np.abs(run_reference(op, x) - expected).max() <= 0.5 + 1e-2


def test_a_token_of_zeros_gives_the_zero_point():
    gamma = np.full(8, 1 << 20, np.int32)
    op = RmsNorm(2, 8, 8, 17, -40, gamma, 0)
    assert np.array_equal(run_reference(op, np.full((2, 8), 17, np.int8)), np.full((2, 8), -40))


def plain_model(with_gamma, offset=False):
    rng = np.random.default_rng(4)
    g = PlainGraph(np.random.default_rng(5))
    x = token_input(g, TOKENS, WIDTH)
    y = g.rms_norm(x, rng.normal(1.0, 0.3, WIDTH) if with_gamma else None)
    if offset:
        y = g.add(y, g.constant(rng.normal(0.0, 0.5, WIDTH)))
    return g, x, g.linear(y, 16)


@pytest.mark.parametrize("with_gamma", [True, False], ids=["gamma", "folded"])
def test_is_found_and_is_as_near_to_the_floats_as_the_plain_graph(with_gamma):
    found = outcome(*plain_model(with_gamma))
    assert list(found.codes) == ["VitRmsNorm", "VitLinear"]
    assert found.fused_db > found.plain_db - 0.5
    assert found.fused_db > 30


def test_squares_in_float_behind_a_layer():
    """As Keras' RMSNormalization is converted: DEQUANTIZE, SQUARE, QUANTIZE."""
    g = PlainGraph(np.random.default_rng(5))
    x = token_input(g, TOKENS, WIDTH)
    h = g.linear(x, WIDTH)
    first = len(g.tensors)
    squares = g.unary("SQUARE", g.unary("DEQUANTIZE", h, g.value(h)), g.value(h) ** 2)
    g.in_float(first)
    mean = g.mean(g.unary("QUANTIZE", squares, g.value(squares)), 2)
    y = g.mul(h, g.rsqrt(g.add(mean, g.constant(np.full((1,), EPSILON)))))
    found = outcome(g, x, g.linear(y, 16))
    assert list(found.codes) == ["VitLinear", "VitRmsNorm"]
    assert found.report.leftovers == ()
    assert found.fused_db > 30


def test_an_offset_behind_it_stays_an_addition():
    found = outcome(*plain_model(True, offset=True))
    assert list(found.codes) == ["VitRmsNorm", "VitLinear"]
    assert [entry.name for entry in found.report.leftovers] == ["ADD"]


@pytest.mark.parametrize("runtime", ["host", "tflm"])
def test_every_runtime_computes_the_definition(runtime):
    fused = outcome(*plain_model(True)).model_bytes
    planned = plan_model(fused).model_bytes
    rng = np.random.default_rng(8)
    reference, other = open_runtime("reference", planned), open_runtime(runtime, planned)
    for _ in range(5):
        x = rng.integers(-128, 128, reference.inputs[0].shape).astype(np.int8)
        assert np.array_equal(reference.run(x)[0], other.run(x)[0])


def test_parameters_are_replaced_like_those_of_any_operator():
    op = RmsNorm(2, 4, 8, 0, 0, np.ones(4, np.int32), 1)
    assert dataclasses.replace(op, tokens=3).tokens == 3
