# SPDX-License-Identifier: Apache-2.0
"""Random valid operators for the tests: realistic and extreme parameters of every kind.

Each generator takes a NumPy generator and optional sizes (drawn at random where left out) and
returns a dataclass of ``tflm_custom_ops.ops`` that keeps every promise of the converter: no
int32 sum overflows. ``extreme`` draws saturating weights, multipliers and inputs.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import (
    BY_KIND,
    Attention,
    Gelu,
    Int8Array,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    Norm,
    OpKind,
    Params,
    PatchEmbed,
    PatchMerge,
    Pool,
    Projection,
    Residual,
    TensorType,
    operator_of,
    residual_dtype,
)
from tflm_custom_ops.ops.attention.params import BiasKind
from tflm_custom_ops.ops.attention_core.params import AttentionCore, View
from tflm_custom_ops.ops.layouts import MAX4, UNIT4, WeightLayout
from tflm_custom_ops.ops.parts import NormKind, NormPlace
from tflm_custom_ops.ops.schema import Array, Field, Status, Word64, fields_of
from tflm_custom_ops.ops.schema.expression import evaluate
from tflm_custom_ops.ops.schema.limits import LIMITS, MAX_EXPANSION
from tflm_custom_ops.ops.schema.writing import element_dtype
from tflm_custom_ops.reference.softmax import MASKED

Rng = np.random.Generator
INT31 = (1 << 31) - 1


def _pick(rng: Rng, value: int | None, low: int, high: int) -> int:
    """``value``, or a number in [low, high] where it is None."""
    return int(rng.integers(low, high + 1)) if value is None else value


def expanded_inputs(rng: Rng) -> int:
    """All inputs at a time or a few; draws nothing from ``rng`` itself."""
    child = rng.spawn(1)[0]
    return MAX_EXPANSION if child.random() < 0.5 else 2 * int(child.integers(1, 40))


def weight_layout(rng: Rng) -> WeightLayout:
    """8 bits, or 4 of one layer in three; draws nothing from ``rng`` itself."""
    is_small = rng.spawn(1)[0].random() < 1 / 3
    return WeightLayout.QUADS4 if is_small else WeightLayout.PAIRS8


def patch_tile(rng: Rng, grid_width: int) -> int:
    """A few patches at a time, or all; draws nothing from ``rng`` itself."""
    return 2 * int(rng.spawn(1)[0].integers(1, grid_width // 2 + 2))


def type_range(bits: int) -> tuple[int, int]:
    """Smallest and largest value of a signed type."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def zero_point(rng: Rng, bits: int) -> int:
    """0 for 16 bits, else any int8 value, the ends included."""
    return 0 if bits == 16 else int(rng.choice([-128, -1, 0, 1, 127, rng.integers(-128, 128)]))


def int8_values(rng: Rng, shape: tuple[int, ...], extreme: bool, low: int = -128) -> Int8Array:
    """int8 values in [low, 127]; extreme ones lie at the ends."""
    if extreme:
        return rng.choice(np.array([low, 127, 127, low, 0, 1], np.int8), shape)
    return rng.integers(low, 128, shape).astype(np.int8)


def weights(rng: Rng, n: int, k: int, extreme: bool) -> Int8Array:
    """int8 weights in [-127, 127]: bell-shaped, or at the ends (sums at the exactness limit)."""
    if extreme:
        sign = 1 if rng.random() < 0.3 else rng.choice([-1, 1], (n, k))
        return np.broadcast_to(np.asarray(127 * sign, np.int8), (n, k)).copy()
    return np.clip(np.rint(rng.normal(0, 40, (n, k))), -127, 127).astype(np.int8)


def linear(
    rng: Rng,
    n: int,
    k: int,
    *,
    bits: int = 8,
    low: int | None = None,
    headroom: bool = False,
    extreme: bool = False,
) -> Linear:
    """A linear layer of k inputs and n outputs of ``bits`` bits.

    ``low`` replaces the lower clamp bound; ``headroom`` allows larger factors through a shift.
    """
    w, layout = weights(rng, n, k, extreme), weight_layout(rng)
    if layout is WeightLayout.QUADS4:
        w = (np.clip(np.rint(w / UNIT4), -MAX4, MAX4) * UNIT4).astype(np.int8)
    spread = max(1.0, float(np.abs(w).sum(axis=1).mean()) * 20)
    bias = rng.integers(-int(spread / 2), int(spread / 2) + 1, n)
    if extreme:
        bias = rng.choice([-1, 1], n) * rng.integers(0, 1 << 24, n)
    bound = int((128 * np.abs(w.astype(np.int64)).sum(axis=1) + np.abs(bias)).max())
    max_shift = min(15, 31 - bound.bit_length())
    shift = int(rng.integers(0, max_shift + 1)) if headroom or extreme else 0
    out_low, out_high = type_range(bits)
    # A factor that maps the typical accumulator to the whole output range.
    factor = (out_high / spread) * rng.uniform(0.3, 1.5, n) * (30 if extreme else 1)
    multiplier = np.minimum(np.rint(factor * 2.0 ** (32 - shift)), INT31)
    if extreme and rng.random() < 0.2:
        multiplier = np.full(n, INT31)
    if low is not None:
        out_low = low
    elif rng.random() < 0.2:
        out_low, out_high = sorted(int(v) for v in rng.integers(out_low, out_high + 1, 2))
    return Linear(
        weights=w,
        bias=bias.astype(np.int32),
        multiplier=multiplier.astype(np.int32),
        shift=shift,
        out_zero_point=zero_point(rng, bits),
        out_min=out_low,
        out_max=out_high,
        k_block=exact_k_block(w, bias.astype(np.int32)),
        layout=layout,
    )


def projection(
    rng: Rng, n: int, k: int, *, rank: int = 0, down: Linear | None = None, **kwargs: Any
) -> Projection:
    """A dense projection (rank 0), or a low-rank pair; ``down`` is reused where given."""
    if not rank:
        return Projection(linear(rng, n, k, **kwargs))
    first = down or linear(rng, rank, k, extreme=bool(kwargs.get("extreme")))
    return Projection(linear(rng, n, rank, **kwargs), down=first)


def norm(rng: Rng, d: int, extreme: bool = False) -> Norm:
    """LayerNorm parameters for d features."""
    gamma = np.rint(rng.normal(1, 0.3, d) * 40 * 2.0**18)
    beta = np.rint((rng.normal(0, 10, d) + 0.5) * 256)
    epsilon = int(rng.integers(0, 1 << 20))
    if extreme:
        gamma = rng.choice([-INT31 - 1, INT31, 0, 1, -1], d)
        beta = rng.integers(-(1 << 24), 1 << 24, d)
        epsilon = int(rng.choice([0, 1, (1 << 48) - 1]))
    return Norm(gamma.astype(np.int32), beta.astype(np.int32), epsilon)


def residual(rng: Rng, bits: int, extreme: bool = False) -> Residual:
    """How a block's input enters the last projection: a factor of about one."""
    factor = rng.uniform(0.01, 100) if extreme else rng.uniform(0.4, 1.9)
    least = max(2, math.ceil(math.log2(factor)) + 2)
    shift = int(rng.integers(least, 15 if bits == 16 else 20))
    multiplier = min(round(factor * 2.0 ** (32 - shift)), INT31)
    return Residual(bits, zero_point(rng, bits), multiplier, shift)


def exp_table(tokens: int) -> np.ndarray:
    """The table of exponentials for a number of tokens (docs/operators.md)."""
    bits = min(15, 23 - math.ceil(math.log2(tokens)))
    return np.rint((2**bits - 1) * 2.0 ** (-np.arange(256) / 256)).astype(np.uint16)


def attention(
    rng: Rng,
    *,
    tokens: int | None = None,
    embed_dim: int | None = None,
    heads: int | None = None,
    head_dim: int | None = None,
    rank: int | None = None,
    bits: int | None = None,
    key_heads: int | None = None,
    value_dim: int | None = None,
    extreme: bool = False,
) -> Attention:
    """An attention block; ``rank`` 0 makes every projection dense.

    Keys and values have as many heads, and values the width, of queries where that is left out.
    """
    t = _pick(rng, tokens, 1, 40)
    d = _pick(rng, embed_dim, 1, 48)
    h = _pick(rng, heads, 1, 4)
    dh = _pick(rng, head_dim, 1, 24)
    kh, dv = key_heads or h, value_dim or dh
    r = int(rng.choice([0, 0, rng.integers(1, 17)])) if rank is None else rank
    b = int(rng.choice([8, 16])) if bits is None else bits
    shared = bool(r and rng.random() < 0.3)
    q = projection(rng, h * dh, d, rank=r, extreme=extreme)
    down = q.down if shared else None
    max_shift = min(15, 31 - (2 * 255 * 127 * dh).bit_length())
    shift = int(rng.integers(0, max_shift + 1))
    # A typical difference of scores becomes a few hundred to a few thousand 1/256 octaves.
    typical = math.sqrt(dh) * 70 * 70
    span = rng.choice([1, 50, 8000]) if extreme else rng.uniform(200, 3000)
    score_multiplier = min(INT31, round(span / typical * 2.0 ** (32 - shift)))
    return Attention(
        tokens=t,
        embed_dim=d,
        heads=h,
        head_dim=dh,
        token_tile=_pick(rng, None, 1, t + 2),
        heads_at_a_time=int(rng.choice([1, h])),
        expanded_inputs=expanded_inputs(rng),
        score_multiplier=score_multiplier,
        score_shift=shift,
        exp_table=exp_table(t),
        context_numerator=round(rng.uniform(0.3, 31.0 if extreme else 4.0) * 2.0**48),
        context_zero_point=zero_point(rng, 8),
        shared_down=shared,
        residual=residual(rng, b, extreme),
        norm=norm(rng, d, extreme),
        q=q,
        key_heads=kh,
        value_dim=dv,
        k=projection(rng, kh * dh, d, rank=r, down=down, low=-127, extreme=extreme),
        v=projection(rng, kh * dv, d, rank=r, down=down, extreme=extreme),
        out=projection(rng, d, h * dv, rank=r, bits=b, headroom=True, extreme=extreme),
    )


def relative(op: Attention, rng: Rng, *, extreme: bool = False) -> Attention:
    """The block with relative keys and values, its tokens a grid behind a few others."""
    sizes = [(t, n) for n in range(1, op.tokens + 1) for t in range(1, op.tokens // n + 1)]
    height, width = sizes[int(rng.integers(len(sizes)))]
    far = int(rng.integers(1, 15))
    entries = 4 * far + 4
    largest_shift = min(op.score_shift, 31 - (34 * 255 * 128 * op.head_dim).bit_length())
    return dataclasses.replace(
        op,
        prefix_tokens=op.tokens - height * width,
        grid_height=height,
        grid_width=width,
        relative_distance=far,
        relative_keys=int8_values(rng, (entries, op.head_dim), extreme, low=-127),
        relative_key_shift=int(rng.integers(0, 12)),
        relative_values=int8_values(rng, (op.value_dim, entries), extreme),
        relative_value_shift=int(rng.integers(0, 12)),
        score_shift=op.score_shift if extreme else largest_shift,
        score_multiplier=max(1 << 15, op.score_multiplier),
    )


def windows(op: Attention, rng: Rng, *, extreme: bool = False) -> Attention:
    """The block on windows of a grid, rolled or not, with any bias."""
    side = int(rng.integers(1, 6))
    height, width = (side * int(n) for n in rng.integers(1, 4, 2))
    kind = BiasKind(rng.choice([BiasKind.NONE, BiasKind.FULL, BiasKind.RELATIVE, BiasKind.MASK]))
    keys, distances = side**2, (2 * side - 1) ** 2
    count = {
        BiasKind.NONE: 0,
        BiasKind.FULL: op.heads * keys**2,
        BiasKind.RELATIVE: op.heads * distances,
        BiasKind.MASK: keys**2,
    }[kind]
    spread = 32767 if extreme else 2000
    bias = rng.integers(-spread, spread + 1, count).astype(np.int16)
    if kind is not BiasKind.RELATIVE:
        bias[rng.random(count) < rng.choice([0, 0.2])] = MASKED
    return dataclasses.replace(
        op,
        tokens=height * width,
        key_tokens=keys,
        grid_height=height,
        grid_width=width,
        window=side,
        window_shift=int(rng.choice([0, side // 2, rng.integers(0, side)])),
        token_tile=_pick(rng, None, 1, keys + 2),
        exp_table=exp_table(keys),
        bias_kind=kind,
        bias=bias if count else None,
        bias_shift=int(rng.integers(0, 9)) if count else 0,
        score_multiplier=max(1 << 15, op.score_multiplier),
    )


def any_attention(rng: Rng, *, extreme: bool = False) -> Attention:
    """An attention block whose queries may not see all keys alike, on windows, or without a norm.

    `attention` itself has neither: golden data are drawn with it.
    """
    if rng.random() < 0.3:
        kh, dv = int(rng.integers(1, 4)), int(rng.integers(1, 20))
        heads = kh * int(rng.integers(1, 4))
        op = attention(rng, heads=heads, key_heads=kh, value_dim=dv, extreme=extreme)
    else:
        op = attention(rng, extreme=extreme)
    if rng.random() < 0.25:
        op = dataclasses.replace(op, norm=by_rms(op.norm))
    if op.residual.bits == 8 and rng.random() < 0.25:
        x = op.residual
        stream = x if rng.integers(2) else Residual(8, x.zero_point, 0, 0)
        op = dataclasses.replace(op, norm_place=NormPlace.ABSENT, norm=None, residual=stream)
    if rng.random() < 0.3:
        return windows(op, rng, extreme=extreme)
    if rng.random() < 0.3:
        op = relative(op, rng, extreme=extreme)
    causal, kind = bool(rng.random() < 0.2), int(rng.choice([0, 0, 0, 1, 4]))
    if not causal and not kind:
        return op
    bias = None
    if kind:
        spread = 32767 if extreme else 2000
        shape = ((op.heads,) if kind == BiasKind.FULL else ()) + (op.tokens, op.tokens)
        bias = rng.integers(-spread, spread + 1, shape).astype(np.int16)
        bias[rng.random(shape) < rng.choice([0, 0.2, 0.9])] = MASKED
    return dataclasses.replace(
        op,
        causal=causal,
        bias_kind=BiasKind(kind),
        bias=bias,
        bias_shift=int(rng.integers(0, 9)) if kind else 0,
        score_multiplier=max(1 << 15, op.score_multiplier),
    )


def _view(rng: Rng, sizes: tuple[int, int, int, int], *, whole: bool = False) -> View:
    """Dimensions in any order; with room between them and around, unless ``whole``."""
    common = rng.random() < 0.5
    order = (3, 1, 2, 0) if common else rng.permutation(4)  # inner first
    strides, step = [0, 0, 0, 0], 1
    for axis in order:
        strides[axis] = step
        step *= sizes[axis] + (0 if whole else int(rng.choice([0, 0, rng.integers(1, 4)])))
    offset = 0 if whole else int(rng.choice([0, rng.integers(0, 6)]))
    return View(step + offset, offset, *strides)


def attention_core(
    rng: Rng,
    *,
    tokens: int | None = None,
    key_tokens: int | None = None,
    heads: int | None = None,
    head_dim: int | None = None,
    value_dim: int | None = None,
    biased: bool | None = None,
    causal: bool | None = None,
    extreme: bool = False,
) -> AttentionCore:
    """Attention between projected tensors."""
    b, t, n = (_pick(rng, s, 1, most) for s, most in ((None, 3), (tokens, 20), (key_tokens, 30)))
    dh, dv = _pick(rng, head_dim, 1, 20), _pick(rng, value_dim, 1, 20)
    in_place = value_dim is None and rng.random() < 0.3
    dv = dh if in_place else dv
    kh = 1 if heads else int(rng.integers(1, 3))
    h = heads or kh * int(rng.integers(1, 4))
    is_causal = bool(rng.random() < 0.3) if causal is None else causal
    bias = None
    if rng.random() < 0.4 if biased is None else biased:
        spread = 32767 if extreme else 2000
        shape = (int(rng.choice([1, b])), int(rng.choice([1, h])), t, n)
        bias = rng.integers(-spread, spread + 1, shape).astype(np.int16)
        bias[rng.random(shape) < rng.choice([0, 0.2, 0.9])] = MASKED
    shift = int(rng.integers(0, 16)) if extreme or rng.random() < 0.3 else 0
    # A typical difference of scores becomes a few hundred to a few thousand 1/256 octaves.
    span = rng.choice([1, 50, 8000]) if extreme else rng.uniform(200, 3000)
    multiplier = min(INT31, round(span / (math.sqrt(dh) * 70 * 70) * 2.0 ** (32 - shift)))
    out = _view(rng, (b, h, t, dv), whole=True)
    return AttentionCore(
        *(b, t, n, h, kh, dh, dv),
        token_tile=_pick(rng, None, 1, t + 2),
        q=out if in_place else _view(rng, (b, h, t, dh)),
        k=_view(rng, (b, kh, n, dh)),
        v=_view(rng, (b, kh, n, dv)),
        out=out,
        q_zero_point=zero_point(rng, 8),
        k_zero_point=zero_point(rng, 8),
        v_zero_point=zero_point(rng, 8),
        score_multiplier=multiplier if shift == 0 and bias is None else max(1 << 15, multiplier),
        score_shift=shift,
        exp_table=exp_table(n),
        context_numerator=round(rng.uniform(0.3, 31.0 if extreme else 4.0) * 2.0**48),
        context_zero_point=zero_point(rng, 8),
        causal=is_causal,
        past_tokens=int(rng.integers(0, n + 1)) if is_causal else 0,
        bias=bias,
        bias_shift=0 if bias is None else int(rng.integers(0, 9)),
    )


def mlp(
    rng: Rng,
    *,
    tokens: int | None = None,
    embed_dim: int | None = None,
    hidden_dim: int | None = None,
    rank: int | None = None,
    bits: int | None = None,
    extreme: bool = False,
) -> Mlp:
    """An MLP block; ``rank`` 0 makes both projections dense."""
    t = _pick(rng, tokens, 1, 24)
    d = _pick(rng, embed_dim, 1, 48)
    hidden = _pick(rng, hidden_dim, 1, 96)
    b = int(rng.choice([8, 16])) if bits is None else bits
    ranks = rng.choice([0, rng.integers(1, 17)], 2) if rank is None else (rank, rank)
    tile = int(rng.choice([hidden, 2 * rng.integers(1, (hidden + 1) // 2 + 1)]))
    return Mlp(
        tokens=t,
        embed_dim=d,
        hidden_dim=hidden,
        token_tile=_pick(rng, None, 1, t + 2),
        hidden_tile=min(tile, hidden),
        expanded_inputs=expanded_inputs(rng),
        lut=int8_values(rng, (256,), extreme),
        residual=residual(rng, b, extreme),
        norm=norm(rng, d, extreme),
        fc1=projection(rng, hidden, d, rank=int(ranks[0]), extreme=extreme),
        fc2=projection(rng, d, hidden, rank=int(ranks[1]), bits=b, headroom=True, extreme=extreme),
    )


def any_mlp(rng: Rng, *, extreme: bool = False) -> Mlp:
    """An MLP block behind a LayerNorm or an RMSNorm; golden data are drawn with `mlp`."""
    op = mlp(rng, extreme=extreme)
    return dataclasses.replace(op, norm=by_rms(op.norm)) if rng.random() < 0.3 else op


def by_rms(norm: Norm | None) -> Norm | None:
    """The norm with RMSNorm's statistics."""
    return None if norm is None else dataclasses.replace(norm, kind=NormKind.RMS)


def layer_norm(
    rng: Rng,
    *,
    tokens: int | None = None,
    embed_dim: int | None = None,
    bits: int | None = None,
    pool: Pool | None = None,
    extreme: bool = False,
) -> LayerNorm:
    """A LayerNorm on its own."""
    t = _pick(rng, tokens, 1, 24)
    d = _pick(rng, embed_dim, 1, 640)
    return LayerNorm(
        tokens=t,
        embed_dim=d,
        input_bits=int(rng.choice([8, 16])) if bits is None else bits,
        pool=Pool(int(rng.choice([0, 1, 2]))) if pool is None else pool,
        zero_point=zero_point(rng, 8),
        pool_multiplier=round(rng.uniform(0.3, 1.9) / t * 2.0**30),
        pool_zero_point=zero_point(rng, 8),
        norm=norm(rng, d, extreme),
    )


def near_the_mean(rng: Rng) -> tuple[LayerNorm, np.ndarray]:
    """A LayerNorm and tokens whose results depend on the last bit of a normalized number.

    Most numbers of a token are so near to its mean that the largest gamma takes them to int8.
    """
    tokens, d = 24, 600
    op = layer_norm(rng, tokens=tokens, embed_dim=d, bits=8, pool=Pool(0))
    gamma = rng.choice([-1, 1], d) * rng.integers(INT31 // 2, INT31, d)
    norm = Norm(gamma.astype(np.int32), np.zeros(d, np.int32), 1)
    x = np.zeros((tokens, d), np.int8)
    x[:, 0] = rng.integers(60, 128, tokens)
    x[:, 1] = -x[:, 0]
    x[:, 2] = rng.integers(1, 4, tokens)
    return dataclasses.replace(op, norm=norm), rng.permuted(x, axis=1)


def gelu(rng: Rng, *, extreme: bool = False) -> Gelu:
    """A pointwise table."""
    return Gelu(int8_values(rng, (256,), extreme))


def linear_op(
    rng: Rng,
    *,
    rows: int | None = None,
    in_features: int | None = None,
    out_features: int | None = None,
    rank: int | None = None,
    extreme: bool = False,
) -> LinearOp:
    """A projection on its own."""
    m = _pick(rng, rows, 1, 12)
    r = int(rng.choice([0, rng.integers(1, 17)])) if rank is None else rank
    n, k = _pick(rng, out_features, 1, 150), _pick(rng, in_features, 1, 100)
    return LinearOp(
        rows=m,
        token_tile=_pick(rng, None, 1, m + 2),
        expanded_inputs=expanded_inputs(rng),
        projection=projection(rng, n, k, rank=r, headroom=True, extreme=extreme),
    )


def patch_embed(
    rng: Rng,
    *,
    embed_dim: int | None = None,
    patch: int | None = None,
    grid: int | None = None,
    channels: int | None = None,
    stride: int | None = None,
    pad: int | None = None,
    bits: int | None = None,
    extreme: bool = False,
) -> PatchEmbed:
    """A patch embedding with any stride and padding (rectangular unless ``patch`` is given)."""
    d, c = _pick(rng, embed_dim, 1, 32), _pick(rng, channels, 1, 4)
    ph, pw = _pick(rng, patch, 1, 7), _pick(rng, patch, 1, 7)
    gh, gw = _pick(rng, grid, 1, 7), _pick(rng, grid, 1, 7)
    sy, sx = _pick(rng, stride, 1, ph + 1), _pick(rng, stride, 1, pw + 1)
    top, left = _pick(rng, pad, 0, ph - 1), _pick(rng, pad, 0, pw - 1)
    # The last patch may hang over the far edge as well, but must begin inside the image.
    height = (gh - 1) * sy + ph - top - (_pick(rng, None, 0, ph - 1) if pad is None else pad)
    width = (gw - 1) * sx + pw - left - (_pick(rng, None, 0, pw - 1) if pad is None else pad)
    b = int(rng.choice([8, 16])) if bits is None else bits
    low, high = type_range(b)
    pos = residual(rng, 8, extreme)
    has_cls, has_pos = rng.random() < 0.5, rng.random() < 0.7
    return PatchEmbed(
        image_height=max(1, height, (gh - 1) * sy - top + 1),
        image_width=max(1, width, (gw - 1) * sx - left + 1),
        channels=c,
        patch_height=ph,
        patch_width=pw,
        stride_y=sy,
        stride_x=sx,
        pad_top=top,
        pad_left=left,
        grid_height=gh,
        grid_width=gw,
        patch_tile=patch_tile(rng, gw),
        expanded_inputs=expanded_inputs(rng),
        embed_dim=d,
        input_zero_point=zero_point(rng, 8),
        output_bits=b,
        cls=rng.integers(low, high + 1, d).astype(residual_dtype(b)) if has_cls else None,
        pos=int8_values(rng, (gh * gw, d), extreme) if has_pos else None,
        pos_zero_point=pos.zero_point if has_pos else 0,
        pos_multiplier=pos.multiplier if has_pos else 0,
        pos_shift=pos.shift if has_pos else 0,
        linear=linear(rng, d, ph * pw * c, bits=b, headroom=True, extreme=extreme),
    )


def any_patch_embed(rng: Rng, *, extreme: bool = False) -> PatchEmbed:
    """A patch embedding of an image in pixels or in planes; golden data are drawn without."""
    return dataclasses.replace(patch_embed(rng, extreme=extreme), planes=bool(rng.integers(2)))


def patch_merge(rng: Rng, *, bits: int | None = None, extreme: bool = False) -> PatchMerge:
    """Patch merging of a rectangle of tokens; patches of any side."""
    height, width, stride = (_pick(rng, None, 1, high) for high in (5, 5, 3))
    b = int(rng.choice([8, 16])) if bits is None else bits
    channels = _pick(rng, None, 1, 12)
    features = stride**2 * channels
    return PatchMerge(
        grid_height=height,
        grid_width=width,
        stride=stride,
        channels=channels,
        token_tile=patch_tile(rng, height * width),
        expanded_inputs=expanded_inputs(rng),
        bits=b,
        norm=norm(rng, features, extreme),
        linear=linear(rng, _pick(rng, None, 1, 24), features, bits=b, extreme=extreme),
    )


GENERATORS = {
    OpKind.PATCH_EMBED: any_patch_embed,
    OpKind.ATTENTION: any_attention,
    OpKind.MLP: any_mlp,
    OpKind.LAYER_NORM: layer_norm,
    OpKind.GELU: gelu,
    OpKind.LINEAR: linear_op,
    OpKind.ATTENTION_CORE: attention_core,
    OpKind.PATCH_MERGE: patch_merge,
}


def from_schema(kind: OpKind, rng: Rng, *, extreme: bool = False) -> Params:
    """A random operator whose fields depend on no other: by its declaration alone.

    Dimensions are small; ``extreme`` draws the ends of every range.
    """
    params = BY_KIND[kind].PARAMS
    values: dict[str, Any] = {}
    scope: dict[str, Any] = dict(LIMITS)
    for field in fields_of(params):
        values[field.name] = scope[field.name] = _random_field(field, scope, rng, extreme)
    return params(**values)


def _random_field(field: Field, scope: dict[str, Any], rng: Rng, extreme: bool) -> Any:
    kind = field.kind
    if isinstance(kind, Array):
        shape = [evaluate(part, scope) for part in kind.shape]
        dtype = element_dtype(kind.element, scope)
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if not extreme:
            low, high = low // 256, high // 256
        values = rng.integers(low, high, shape, endpoint=True)
        return (rng.choice([low, high], shape) if extreme else values).astype(dtype)
    if isinstance(kind, Word64):
        return int(rng.choice([0, (1 << kind.bits) - 1]) if extreme else rng.integers(0, 1 << 20))
    if kind.choices:
        return int(rng.choice(kind.choices))
    low, high = (evaluate(bound, scope) for bound in kind.bounds)
    if kind.status is Status.BAD_DIMENSION:
        return int(rng.integers(low, min(high, 48), endpoint=True))
    return int(rng.choice([low, high]) if extreme else rng.integers(low, high, endpoint=True))


def random_op(kind: OpKind, rng: Rng, *, extreme: bool = False) -> Params:
    """A random operator of a kind, all sizes at random."""
    if kind not in GENERATORS:
        return from_schema(kind, rng, extreme=extreme)
    op: Params = GENERATORS[kind](rng, extreme=extreme)  # type: ignore[operator]
    return without_norm(op, rng) if isinstance(op, Mlp) and rng.integers(2) else op


def without_norm(op: Mlp, rng: Rng) -> Mlp:
    """The MLP on x itself, added to x or not; the MLP as it is where its stream is int16."""
    if op.residual.bits != 8:
        return op
    x = op.residual
    stream = x if rng.integers(2) else Residual(8, x.zero_point, 0, 0)
    return dataclasses.replace(op, norm_place=NormPlace.ABSENT, norm=None, residual=stream)


def input_shape(op: Params) -> tuple[int, ...]:
    """Shape of the operator's first input (a GELU takes any; 77 values here)."""
    return _shape(operator_of(op).inputs[0])


def _shape(tensor: TensorType) -> tuple[int, ...]:
    return tensor.shape or (77,)


def input_bits(op: Params) -> int:
    """Bits of the operator's first input."""
    return operator_of(op).inputs[0].bits


def random_inputs(op: Params, rng: Rng, *, extreme: bool = False) -> tuple[np.ndarray, ...]:
    """Random inputs: bell-shaped, or extreme (ends of the range, constant rows)."""
    return tuple(_random_tensor(tensor, rng, extreme) for tensor in operator_of(op).inputs)


def random_input(op: Params, rng: Rng, *, extreme: bool = False) -> np.ndarray:
    """The same for an operator of one input."""
    (x,) = random_inputs(op, rng, extreme=extreme)
    return x


def _random_tensor(tensor: TensorType, rng: Rng, extreme: bool) -> np.ndarray:
    shape, bits = _shape(tensor), tensor.bits
    low, high = type_range(bits)
    if not extreme:
        x = np.clip(np.rint(rng.normal(0, high / 3, shape)), low, high)
        return x.astype(residual_dtype(bits))
    mode = rng.integers(0, 4)
    if mode == 0:
        x = np.full(shape, rng.integers(low, high + 1))
    elif mode == 1:
        x = rng.choice([low, high], shape)
    elif mode == 2:
        x = rng.integers(-1, 2, shape)
    else:
        x = rng.integers(low, high + 1, shape)
    return x.astype(residual_dtype(bits))


def with_schedule(op: Params, rng: Rng) -> Params:
    """The same operator with another schedule (tiles, heads at a time): equal results."""
    if "expanded_inputs" in {field.name for field in fields_of(type(op))}:
        op = dataclasses.replace(op, expanded_inputs=expanded_inputs(rng))
    if isinstance(op, Attention):
        tile, at_a_time = _pick(rng, None, 1, op.key_tokens + 1), int(rng.choice([1, op.heads]))
        return dataclasses.replace(op, token_tile=tile, heads_at_a_time=at_a_time)
    if isinstance(op, Mlp):
        hidden = int(rng.choice([op.hidden_dim, 2 * rng.integers(1, op.hidden_dim // 2 + 2)]))
        return dataclasses.replace(
            op,
            token_tile=_pick(rng, None, 1, op.tokens + 1),
            hidden_tile=min(hidden, op.hidden_dim),
        )
    if isinstance(op, AttentionCore):
        return dataclasses.replace(op, token_tile=_pick(rng, None, 1, op.tokens + 1))
    if isinstance(op, LinearOp):
        return dataclasses.replace(op, token_tile=_pick(rng, None, 1, op.rows + 1))
    if isinstance(op, PatchEmbed):
        return dataclasses.replace(op, patch_tile=patch_tile(rng, op.grid_width))
    if isinstance(op, PatchMerge):
        return dataclasses.replace(op, token_tile=patch_tile(rng, op.tokens))
    return op
