# SPDX-License-Identifier: Apache-2.0
"""Random operators of the sizes that networks have, to count: shapes and schedules, no weights.

Counts depend on hardly any value: zeros are as good as weights, as long as the layers have what the
converter gives them (no shift, the whole range, sums that need no blocks). Keys of -128 alone cost
the attention core more; there are none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.builtins.schedule import STACK_BYTES
from tflm_custom_ops.ops import MAX_EMBED_DIM, MAX_EMBED_DIM_16, Params, Pool, operator_of
from tflm_custom_ops.ops.attention import operator as attention
from tflm_custom_ops.ops.attention.params import Attention, BiasKind
from tflm_custom_ops.ops.attention_core.params import AttentionCore, View
from tflm_custom_ops.ops.gelu import operator as gelu
from tflm_custom_ops.ops.layer_norm import operator as layer_norm
from tflm_custom_ops.ops.layouts import WeightLayout
from tflm_custom_ops.ops.linear import operator as linear
from tflm_custom_ops.ops.mlp import operator as mlp
from tflm_custom_ops.ops.parts import Linear, Projection
from tflm_custom_ops.ops.patch_embed import operator as patch_embed
from tflm_custom_ops.ops.patch_merge import operator as patch_merge
from tflm_custom_ops.ops.rms_norm import operator as rms_norm
from tflm_custom_ops.ops.weightless import zeros

Rng = np.random.Generator
MOST_MACS = 2_500_000  # of one operator, for the emulator's sake
FOUR_BITS = 0.2  # of the operators have weights of 4 bits
WHOLE = 65536  # k_block of a layer whose sums need no blocks


def _between(rng: Rng, low: int, high: int) -> int:
    """As often between 16 and 32 as between 160 and 320."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _rank(rng: Rng, most: int) -> int:
    return int(rng.integers(1, most + 1)) if rng.random() < 0.3 else 0


def _width(rng: Rng) -> int:
    width = _between(rng, 8, 640)
    return width if rng.random() < 0.5 else max(8, width // 8 * 8)


def _bits(rng: Rng) -> int:
    return int(rng.choice([8, 16]))


def _attention(rng: Rng) -> Params:
    width, heads, head_dim = _width(rng), int(rng.integers(1, 7)), _between(rng, 4, 96)
    if rng.random() < 0.5:
        head_dim = -(-head_dim // 8) * 8
    qkv = _rank(rng, min(width, heads * head_dim))
    plain = attention.weightless(
        _between(rng, 2, 1600),
        width,
        heads,
        head_dim,
        bits=_bits(rng),
        qkv_rank=qkv,
        out_rank=_rank(rng, min(width, heads * head_dim)),
        shared_down=bool(qkv) and rng.random() < 0.5,
    )
    return _seen(rng, plain) if rng.random() < 0.5 else plain


def _seen(rng: Rng, op: Attention) -> Params:
    """Causal, with a bias, with a shift of the scores, or several of them."""
    kind = BiasKind(rng.choice([BiasKind.NONE, BiasKind.FULL, BiasKind.MASK]))
    planes = {BiasKind.NONE: 0, BiasKind.FULL: op.heads, BiasKind.MASK: 1}[kind]
    bias = zeros("int16", planes * op.tokens**2) if planes else None
    shift, is_causal = _shift(rng), bool(rng.random() < 0.5)
    op = dataclasses.replace(op, causal=is_causal, bias_kind=kind, bias=bias, score_shift=shift)
    return _relative(rng, op) if rng.random() < 0.4 else op


def _relative(rng: Rng, op: Attention) -> Attention:
    """With relative keys and values: a grid of the tokens but a few first ones."""
    width = int(rng.integers(1, int(op.tokens**0.5) + 1))
    height = int(rng.integers(1, max(2, op.tokens // width + 1)))
    height = op.tokens // width if rng.random() < 0.8 else height
    distance = int(rng.integers(1, 15))
    entries = 4 * distance + 4
    return dataclasses.replace(
        op,
        prefix_tokens=op.tokens - height * width,
        grid_height=height,
        grid_width=width,
        relative_distance=distance,
        relative_keys=zeros("int8", entries, op.head_dim),
        relative_values=zeros("int8", op.head_dim, entries),
    )


def _windows(rng: Rng) -> Params:
    """On windows of a grid, rolled or not, with one of the biases; heads may share keys."""
    side, down, across = (int(rng.integers(1, most)) for most in (9, 6, 6))
    width, key_heads, head_dim = (
        _between(rng, 8, 160),
        int(rng.integers(1, 5)),
        _between(rng, 4, 48),
    )
    heads = key_heads * int(rng.integers(1, 3))
    kind = BiasKind(rng.choice([BiasKind.NONE, BiasKind.FULL, BiasKind.RELATIVE, BiasKind.MASK]))
    keys = side * side
    count = {
        BiasKind.NONE: 0,
        BiasKind.FULL: heads * keys * keys,
        BiasKind.RELATIVE: heads * (2 * side - 1) ** 2,
        BiasKind.MASK: keys * keys,
    }[kind]
    plain = attention.weightless(
        keys * down * across,
        width,
        heads,
        head_dim,
        bits=_bits(rng),
        key_heads=key_heads,
        value_dim=head_dim if rng.random() < 0.5 else _between(rng, 4, 48),
    )
    return dataclasses.replace(
        plain,
        key_tokens=keys,
        grid_height=side * down,
        grid_width=side * across,
        window=side,
        window_shift=side // 2 if rng.random() < 0.5 else 0,
        bias_kind=kind,
        bias=zeros("int16", count) if count else None,
        score_shift=_shift(rng),
    )


def _shift(rng: Rng) -> int:
    """Of scores; mostly none."""
    return int(rng.integers(1, 8)) if rng.random() < 0.3 else 0


def _view(rng: Rng, sizes: tuple[int, int, int, int]) -> View:
    """All of a tensor of (batches, heads, tokens, channels), in one of the orders of its
    dimensions that models have."""
    orders = ((0, 2, 1, 3), (0, 1, 2, 3), (0, 1, 3, 2))
    order = orders[int(rng.choice(len(orders), p=(0.5, 0.3, 0.2)))]
    strides, step = [0] * 4, 1
    for axis in reversed(order):
        strides[axis] = step
        step *= sizes[axis]
    return View(step, 0, *strides)


def _attention_core(rng: Rng) -> Params:
    batches = 1 if rng.random() < 0.6 else _between(rng, 1, 16)
    tokens = _between(rng, 1, 1600)
    keys = tokens if rng.random() < 0.6 else _between(rng, 1, 1600)
    key_heads, channels, value_dim = int(rng.integers(1, 7)), _between(rng, 4, 96), 0
    heads = key_heads * (1 if rng.random() < 0.7 else int(rng.integers(1, 4)))
    value_dim = channels if rng.random() < 0.7 else _between(rng, 4, 96)
    bias = None
    if rng.random() < 0.4:
        planes = (int(rng.choice([1, batches])), int(rng.choice([1, heads])))
        bias = zeros("int16", *planes, tokens, keys)
    is_causal = bool(rng.random() < 0.3)
    return AttentionCore(
        *(batches, tokens, keys, heads, key_heads, channels, value_dim, 1),
        q=_view(rng, (batches, heads, tokens, channels)),
        k=_view(rng, (batches, key_heads, keys, channels)),
        v=_view(rng, (batches, key_heads, keys, value_dim)),
        out=_view(rng, (batches, heads, tokens, value_dim)),
        q_zero_point=0,
        k_zero_point=0,
        v_zero_point=0,
        score_multiplier=1 << 28,
        score_shift=_shift(rng),
        exp_table=np.broadcast_to(np.ones((), np.uint16), 256),
        context_numerator=1 << 48,
        context_zero_point=0,
        causal=is_causal,
        past_tokens=int(rng.integers(0, keys)) if is_causal else 0,
        bias=bias,
    )


def _mlp(rng: Rng) -> Params:
    width = _width(rng)
    hidden = max(4, round(width * float(rng.uniform(0.5, 4))))
    ranks = [_rank(rng, min(width, hidden)) for _ in range(2)]
    tokens, bits = _between(rng, 1, 1600), _bits(rng)
    return mlp.weightless(tokens, width, hidden, bits=bits, fc1_rank=ranks[0], fc2_rank=ranks[1])


def _linear(rng: Rng) -> Params:
    inputs, outputs = _width(rng), _between(rng, 2, 1000)
    rows = 1 if rng.random() < 0.7 else _between(rng, 1, 100)
    return linear.weightless(rows, inputs, outputs, rank=_rank(rng, min(inputs, outputs)))


def _layer_norm(rng: Rng) -> Params:
    pool = Pool(int(rng.integers(0, 3)))
    return layer_norm.weightless(_between(rng, 1, 1600), _width(rng), bits=_bits(rng), pool=pool)


def _rms_norm(rng: Rng) -> Params:
    return rms_norm.weightless(_between(rng, 1, 1600), _width(rng), bits=_bits(rng))


def _gelu(rng: Rng) -> Params:
    del rng  # it takes any number of values
    return gelu.weightless()


def _patch_embed(rng: Rng) -> Params:
    patch, channels = int(rng.integers(1, 17)), int(rng.choice([1, 2, 3, 8, 24]))
    padding = int(rng.integers(0, patch)) if rng.random() < 0.3 else 0
    grid = _between(rng, 1, 40)
    side = max(1, grid * patch - 2 * padding)
    op = patch_embed.weightless(
        (side, channels),
        patch,
        (side + 2 * padding - patch) // patch + 1 if side + 2 * padding >= patch else 1,
        _width(rng),
        bits=_bits(rng),
        padding=padding,
        class_token=bool(rng.random() < 0.3),
    )
    op = op if rng.random() < 0.7 else dataclasses.replace(op, pos=None)
    return dataclasses.replace(op, planes=bool(rng.random() < 0.2))


def _patch_merge(rng: Rng) -> Params:
    bits, stride = _bits(rng), 2 if rng.random() < 0.7 else int(rng.integers(1, 5))
    most = (MAX_EMBED_DIM_16 if bits == 16 else MAX_EMBED_DIM) // stride**2
    grid, channels = _between(rng, 1, 28), _between(rng, 4, min(most, 192))
    return patch_merge.weightless(grid, stride, channels, _width(rng), bits=bits)


KINDS: tuple[Callable[[Rng], Params], ...] = (
    _attention, _attention_core, _mlp, _linear, _layer_norm, _patch_embed, _rms_norm, _gelu,
)  # fmt: skip
SHARES = (0.25, 0.2, 0.15, 0.1, 0.1, 0.13, 0.05, 0.02)  # of the operators


def as_converted(params: Params, layout: WeightLayout = WeightLayout.PAIRS8) -> Params:
    """The operator with the layers that the converter gives one of its sizes."""
    own = getattr(params, "bits", getattr(params, "output_bits", 8))
    bits = getattr(getattr(params, "residual", None), "bits", own)

    def layer(p: Linear, bits: int) -> Linear:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        if p.out_min == -127:
            low = -127
        return dataclasses.replace(p, k_block=WHOLE, out_min=low, out_max=high, layout=layout)

    def projection(p: Projection, bits: int) -> Projection:
        down = None if p.down is None else layer(p.down, 8)
        return dataclasses.replace(p, up=layer(p.up, bits), down=down)

    changed: dict[str, Any] = {}
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        last = bits if field.name in ("out", "fc2", "linear") else 8
        if isinstance(value, Projection):
            changed[field.name] = projection(value, last)
        elif isinstance(value, Linear):
            changed[field.name] = layer(value, last)
    return dataclasses.replace(params, **changed)


def random_op(rng: Rng) -> Params:
    """An operator of a random kind, of sizes that are emulated in a second, with one of its
    schedules."""
    return _scheduled(lambda: KINDS[int(rng.choice(len(KINDS), p=SHARES))](rng), rng)


def random_windows(rng: Rng) -> Params:
    """Attention on windows of a grid, likewise."""
    return _scheduled(lambda: _windows(rng), rng)


def random_merge(rng: Rng) -> Params:
    """Patch merging, likewise."""
    return _scheduled(lambda: _patch_merge(rng), rng)


def _scheduled(draw: Callable[[], Params], rng: Rng) -> Params:
    while True:
        op = draw()
        if operator_of(op).macs <= MOST_MACS:
            break
    schedules = list(operator_of(op).schedules())
    chosen = schedules[int(rng.integers(len(schedules)))]
    is_small = rng.spawn(1)[0].random() < FOUR_BITS
    return as_converted(chosen, WeightLayout.QUADS4 if is_small else WeightLayout.PAIRS8)


def random_convolution(rng: Rng) -> tuple[StemConvolution, int]:
    """A stem's layer, and bytes of scratch: as much as it can use, or less."""
    while True:
        stride, kernel = int(rng.choice([1, 2])), int(rng.choice([1, 3, 5]))
        side = stride * _between(rng, 2, 32)
        channels = _between(rng, 1, 64), _between(rng, 2, 64)
        layout = WeightLayout.QUADS4 if rng.random() < FOUR_BITS else WeightLayout.PAIRS8
        found = StemConvolution(side, channels[0], kernel, stride, channels[1], layout)
        if found.macs <= MOST_MACS:
            return found, _between(rng, STACK_BYTES, 1 << 15)


def random_inputs(op: Params, rng: Rng, values: int = 0) -> tuple[np.ndarray[Any, Any], ...]:
    """Any values of the inputs' types but the least.

    Args:
      values: of an input that may have any shape; 0 draws their number.
    """
    inputs = []
    for kind in operator_of(op).inputs:
        info = np.iinfo(kind.dtype)
        shape = (values or _between(rng, 1, 40_000),) if kind.shape is None else kind.shape
        inputs.append(rng.integers(info.min + 1, info.max + 1, shape).astype(kind.dtype))
    return tuple(inputs)
