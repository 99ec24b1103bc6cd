# SPDX-License-Identifier: Apache-2.0
"""The integer reference against the same mathematics in floating point."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tflm_custom_ops.ops import (
    Attention,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    OpKind,
    PatchEmbed,
    Pool,
    Projection,
    decode,
    encode,
    residual_dtype,
    run_reference,
)
from tflm_custom_ops.reference.requant import exact_matmul, mulh, requantize
from tflm_custom_ops.reference.softmax import context, exponentials

SEEDS = range(20)


def float_linear(p: Linear, x: np.ndarray) -> np.ndarray:
    """The layer's output in output units, before rounding and clamping."""
    factor = p.multiplier.astype(float) * 2.0 ** (p.shift - 32)
    return (x.astype(float) @ p.weights.T.astype(float) + p.bias) * factor + p.out_zero_point


def test_mulh_rounds_half_up() -> None:
    assert mulh([1 << 31, -(1 << 31), 3 << 30, -(3 << 30)], 1).tolist() == [1, 0, 1, -1]
    rng = np.random.default_rng(1)
    a, m = rng.integers(-(1 << 31), 1 << 31, (2, 1000))
    exact = [(int(p) * int(q) + (1 << 31)) // (1 << 32) for p, q in zip(a, m, strict=True)]
    assert mulh(a, m).tolist() == exact


@pytest.mark.parametrize("bits", [23, 24, 25, 30, 52])
def test_matrix_products_are_exact(bits: int) -> None:
    """On both sides of what float32 holds, of the ends of the types too."""
    rng = np.random.default_rng(bits)
    width = 16
    largest = max(2, 2 ** (bits // 2 - 2))
    a = rng.integers(-largest, largest, (5, width))
    b = rng.integers(0, 2**bits // (largest * width), (width, 7))
    a[0], b[:, 0] = -largest, 2**bits // (largest * width) - 1
    a[1], a[2] = largest - 1, rng.choice([1, -1], width) * (largest - 1)
    np.testing.assert_array_equal(exact_matmul(a, b), a @ b)
    np.testing.assert_array_equal(exact_matmul(-a, b), -(a @ b))
    ends = np.full((3, 600), -128, np.int8)
    np.testing.assert_array_equal(exact_matmul(ends, ends.T), np.full((3, 3), 600 * 2**14))


def test_overflow_is_an_error() -> None:
    with pytest.raises(OverflowError, match="int32"):
        requantize(np.array([1 << 30]), 2, 1, 0, -128, 127)


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_is_within_half_a_unit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op = generators.linear_op(rng, rank=0)
    x = generators.random_input(op, rng)
    p = op.projection.up
    expected = np.clip(float_linear(p, x), p.out_min, p.out_max)
    assert np.abs(run_reference(op, x) - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bits", [8, 16])
def test_layer_norm_is_within_one_unit(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    op = generators.layer_norm(rng, bits=bits, pool=Pool.NONE)
    # Up to one token that is constant: the smallest variance there is.
    x = generators.random_input(op, rng, extreme=bool(seed % 2)).astype(float)
    d = op.embed_dim
    variance = np.maximum(x.var(axis=1) + op.norm.epsilon / d**2, 1 / d**2)
    normal = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(variance)[:, None]
    expected = normal * op.norm.gamma * 2.0**-18 + op.norm.beta / 256 - 0.5
    y = run_reference(op, x.astype(residual_dtype(bits)))
    assert np.abs(y - np.clip(expected, -128, 127)).max() <= 0.52


def test_layer_norm_pools() -> None:
    rng = np.random.default_rng(3)
    op = generators.layer_norm(rng, tokens=9, embed_dim=20, bits=8, pool=Pool.NONE)
    x = generators.random_input(op, rng)
    rows = run_reference(op, x).astype(float)
    first = run_reference(dataclasses.replace(op, pool=Pool.FIRST), x)
    assert first.tolist() == rows[:1].tolist()
    mean = run_reference(dataclasses.replace(op, pool=Pool.MEAN), x)
    factor = op.pool_multiplier * 9 / 2.0**32
    expected = (rows.mean(axis=0) - op.zero_point) * factor + op.pool_zero_point
    assert np.abs(mean - np.clip(expected, -128, 127)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("tokens", [1, 2, 37, 226, 300])
def test_softmax_and_context(tokens: int) -> None:
    rng = np.random.default_rng(tokens)
    op = generators.attention(rng, tokens=tokens, heads=1, head_dim=16)
    scores = np.rint(rng.normal(0, 20000, (5, tokens))).astype(np.int64)
    e = exponentials(op, scores)
    log2 = scores * op.score_multiplier * 2.0 ** (op.score_shift - 32) / 256
    weight = 2.0 ** (log2 - log2.max(axis=1, keepdims=True))
    top = float(op.exp_table[0])
    # A step of 1/256 octave is 0.27 %; the shift drops less than one unit.
    assert np.abs(e - weight * top).max() <= 0.0014 * top + 1.5
    v = rng.integers(-128, 128, (tokens, 16))
    probabilities = e / e.sum(axis=1, keepdims=True)
    factor = op.context_numerator / 2.0**48
    expected = (probabilities @ v - op.v.up.out_zero_point) * factor + op.context_zero_point
    c = context(op, e, v, op.v.up.out_zero_point)
    assert np.abs(c - np.clip(expected, -128, 127)).max() <= 0.51


def float_projection(p: Projection, x: np.ndarray) -> np.ndarray:
    """A projection with exact integer rounding of the low-rank intermediate."""
    if p.down is not None:
        x = np.clip(np.floor(float_linear(p.down, x) + 0.5), p.down.out_min, p.down.out_max)
    return float_linear(p.up, x)


def add_stream(op: Attention | Mlp, y: np.ndarray, x: np.ndarray, p: Projection) -> np.ndarray:
    r = op.residual
    y = y + (x.astype(float) - r.zero_point) * r.multiplier * 2.0 ** (r.shift - 32)
    return np.clip(y, p.up.out_min, p.up.out_max)


@pytest.mark.parametrize("seed", SEEDS)
def test_mlp(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op = generators.mlp(rng)
    x = generators.random_input(op, rng)
    ln = LayerNorm(op.tokens, op.embed_dim, op.residual.bits, Pool.NONE, 0, 0, 0, op.norm)
    h = run_reference(ln, x)
    f = np.floor(float_projection(op.fc1, h) + 0.5)
    hidden = op.lut[np.clip(f, op.fc1.up.out_min, op.fc1.up.out_max).astype(int) + 128]
    expected = add_stream(op, float_projection(op.fc2, hidden), x, op.fc2)
    assert np.abs(run_reference(op, x) - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_attention_projects_the_context_of_each_head(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op = generators.attention(rng)
    x = generators.random_input(op, rng)
    ln = LayerNorm(op.tokens, op.embed_dim, op.residual.bits, Pool.NONE, 0, 0, 0, op.norm)
    h = run_reference(ln, x)
    parts = []
    for p in (op.q, op.k, op.v):
        rounded = np.floor(float_projection(p, h) + 0.5)
        parts.append(np.clip(rounded, p.up.out_min, p.up.out_max).astype(np.int64))
    q, k, v = (p.reshape(op.tokens, op.heads, op.head_dim) for p in parts)
    scores = np.einsum("ihd,jhd->hij", q - op.q.up.out_zero_point, k)
    zero = op.v.up.out_zero_point
    c = [context(op, exponentials(op, scores[h]), v[:, h], zero) for h in range(op.heads)]
    y = add_stream(op, float_projection(op.out, np.concatenate(c, axis=1)), x, op.out)
    assert np.abs(run_reference(op, x) - y).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_patch_embed_pixel_by_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    op = generators.patch_embed(rng, embed_dim=3)
    image = generators.random_input(op, rng)
    y = run_reference(op, image)
    kernel = op.linear.weights.reshape(3, op.patch_height, op.patch_width, op.channels)
    first = 0 if op.cls is None else 1
    for token in range(op.grid_height * op.grid_width):
        gy, gx = divmod(token, op.grid_width)
        acc = op.linear.bias.astype(np.int64)
        for py in range(op.patch_height):
            for px in range(op.patch_width):
                iy = gy * op.stride_y - op.pad_top + py
                ix = gx * op.stride_x - op.pad_left + px
                inside = 0 <= iy < op.image_height and 0 <= ix < op.image_width
                zero = np.full(op.channels, op.input_zero_point)
                pixel = image[iy, ix] if inside else zero
                acc = acc + kernel[:, py, px].astype(np.int64) @ pixel.astype(np.int64)
        p = op.linear
        value = acc * p.multiplier * 2.0 ** (p.shift - 32) + p.out_zero_point
        if op.pos is not None:
            pos = op.pos[token].astype(float) - op.pos_zero_point
            value = value + pos * op.pos_multiplier * 2.0 ** (op.pos_shift - 32)
        expected = np.clip(value, p.out_min, p.out_max)
        assert np.abs(y[first + token] - expected).max() <= 0.5 + 1e-6
    if op.cls is not None:
        assert y[0].tolist() == op.cls.tolist()


@pytest.mark.parametrize("kind", list(OpKind))
@pytest.mark.parametrize("extreme", [False, True])
def test_serialized_operator_gives_the_same_result(kind: OpKind, extreme: bool) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        op = generators.random_op(kind, rng, extreme=extreme)
        xs = generators.random_inputs(op, rng, extreme=extreme)
        again = decode(*encode(op))
        assert isinstance(again, type(op))
        assert not isinstance(op, PatchEmbed | LinearOp) or encode(again) == encode(op)
        assert np.array_equal(run_reference(op, *xs), run_reference(again, *xs))
