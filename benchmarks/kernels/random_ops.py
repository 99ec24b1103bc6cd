# SPDX-License-Identifier: Apache-2.0
"""Random operators of the sizes that networks have, to count: shapes and schedules, no weights.

Counts depend on no value: zeros are as good as weights, as long as the layers have what the
converter gives them (no shift, the whole range, sums that need no blocks).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tflm_custom_ops.ops import Params, Pool, operator_of
from tflm_custom_ops.ops.attention import operator as attention
from tflm_custom_ops.ops.layer_norm import operator as layer_norm
from tflm_custom_ops.ops.linear import operator as linear
from tflm_custom_ops.ops.mlp import operator as mlp
from tflm_custom_ops.ops.parts import Linear, Projection
from tflm_custom_ops.ops.patch_embed import operator as patch_embed

Rng = np.random.Generator
MOST_MACS = 2_500_000  # of one operator, for the emulator's sake
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
    return attention.weightless(
        _between(rng, 2, 1600),
        width,
        heads,
        head_dim,
        bits=_bits(rng),
        qkv_rank=qkv,
        out_rank=_rank(rng, min(width, heads * head_dim)),
        shared_down=bool(qkv) and rng.random() < 0.5,
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
    return op if rng.random() < 0.7 else dataclasses.replace(op, pos=None)


KINDS: tuple[Callable[[Rng], Params], ...] = (_attention, _mlp, _linear, _layer_norm, _patch_embed)


def as_converted(params: Params) -> Params:
    """The operator with the layers that the converter gives one of its sizes."""
    bits = getattr(getattr(params, "residual", None), "bits", getattr(params, "output_bits", 8))

    def layer(p: Linear, bits: int) -> Linear:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        if p.out_min == -127:
            low = -127
        return dataclasses.replace(p, k_block=WHOLE, out_min=low, out_max=high)

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
    while True:
        op = KINDS[int(rng.integers(len(KINDS)))](rng)
        if operator_of(op).macs <= MOST_MACS:
            break
    schedules = list(operator_of(op).schedules())
    chosen = schedules[int(rng.integers(len(schedules)))]
    return as_converted(chosen)


def random_input(op: Params, rng: Rng) -> np.ndarray[Any, Any]:
    """Any values of the input's type."""
    kind = operator_of(op).inputs[0]
    info = np.iinfo(kind.dtype)
    return rng.integers(info.min, info.max + 1, kind.shape).astype(kind.dtype)
