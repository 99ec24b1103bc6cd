# SPDX-License-Identifier: Apache-2.0
"""The shapes of ``vit_t_240`` that the kernels are measured on, with random parameters.

Counts do not depend on values; the layers keep what the converter promises (docs/operators.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.kernels.emulator import CallResult, KernelEmulator
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import (
    Attention,
    Gelu,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    Norm,
    PatchEmbed,
    Pool,
    Projection,
    Residual,
    residual_dtype,
)
from tflm_custom_ops.ops.layouts import MAX4, UNIT4, WeightLayout
from tflm_custom_ops.reference.requant import exact_matmul
from tflm_custom_ops.reference.softmax import context, exponentials

SEED = 1
TOKENS, EMBED_DIM, HEADS, HEAD_DIM, HIDDEN = 225, 192, 3, 64, 768
CORE_TILE = 46  # queries at a time in the attention core
CORE_STRIDE = (TOKENS + 3) // 4 * 4  # elements of a row of scores, exponentials and values
VALUE_TOKENS = 264  # VIT_VALUE_TOKENS of vit_attention_plan.h

Array = NDArray[np.generic]


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _linear(n: int, k: int, *, bits: int = 8, low: int = -128) -> Linear:
    rng = _rng()
    weights = np.clip(np.rint(rng.normal(0, 40, (n, k))), -127, 127).astype(np.int8)
    high = (1 << (bits - 1)) - 1
    # The typical sum fills half of the output range.
    factor = rng.uniform(0.5, 1.5, n) * high / 2 / (40 * 60 * k**0.5)
    bias = rng.integers(-9000, 9000, n).astype(np.int32)
    return Linear(
        weights=weights,
        bias=bias,
        multiplier=np.minimum(np.rint(factor * 2.0**32), 2**31 - 1).astype(np.int32),
        out_zero_point=3 if bits == 8 else 0,
        out_min=low if bits == 8 else -high - 1,
        out_max=high,
        k_block=exact_k_block(weights, bias),
    )


def _projection(n: int, k: int, *, bits: int = 8, low: int = -128) -> Projection:
    return Projection(_linear(n, k, bits=bits, low=low))


def _norm() -> Norm:
    rng = _rng()
    gamma = rng.uniform(0.5, 1.5, EMBED_DIM) * 30 * 2**18
    beta = rng.uniform(-10, 10, EMBED_DIM) * 256
    return Norm(np.rint(gamma).astype(np.int32), np.rint(beta).astype(np.int32), 10)


def _stream(bits: int) -> Array:
    high = (1 << (bits - 1)) - 1
    values = np.clip(np.rint(_rng().normal(0, high / 3, (TOKENS, EMBED_DIM))), -high - 1, high)
    return values.astype(residual_dtype(bits))


def _residual(bits: int) -> Residual:
    return Residual(bits=bits, zero_point=0, multiplier=1 << 30, shift=1)


def _bytes(*shape: int) -> Array:
    return _rng().integers(-128, 128, shape).astype(np.int8)


def linear(k: int, n: int, rows: int, weight_bits: int = 8) -> tuple[LinearOp, Array]:
    """rows x k x n, all at a time."""
    layer = _linear(n, k)
    if weight_bits == 4:
        numbers = np.clip(layer.weights.astype(int) // UNIT4, -MAX4, MAX4)
        weights, layout = (UNIT4 * numbers).astype(np.int8), WeightLayout.QUADS4
        layer = dataclasses.replace(layer, weights=weights, layout=layout)
    return LinearOp(rows, rows, Projection(layer)), _bytes(rows, k)


def layer_norm(bits: int) -> tuple[LayerNorm, Array]:
    """LayerNorm of 225 tokens."""
    return LayerNorm(TOKENS, EMBED_DIM, bits, Pool.NONE, 0, 0, 0, _norm()), _stream(bits)


def gelu() -> tuple[Gelu, Array]:
    """The table on its own over the hidden units of 15 tokens."""
    lut = _bytes(256)
    return Gelu(lut.astype(np.int8)), _bytes(15 * HIDDEN)


def attention(bits: int, tile: int) -> tuple[Attention, Array]:
    """The attention block, all heads at a time."""
    table_bits = 15
    table = np.rint((2**table_bits - 1) * 2.0 ** (-np.arange(256) / 256)).astype(np.uint16)
    op = Attention(
        tokens=TOKENS,
        embed_dim=EMBED_DIM,
        heads=HEADS,
        head_dim=HEAD_DIM,
        token_tile=tile,
        heads_at_a_time=HEADS,
        score_multiplier=round(1500 / (HEAD_DIM**0.5 * 60 * 60) * 2.0**32),
        score_shift=0,
        exp_table=table,
        context_numerator=round(1.5 * 2.0**48),
        context_zero_point=0,
        shared_down=False,
        residual=_residual(bits),
        norm=_norm(),
        q=_projection(EMBED_DIM, EMBED_DIM),
        k=_projection(EMBED_DIM, EMBED_DIM, low=-127),
        v=_projection(EMBED_DIM, EMBED_DIM),
        out=_projection(EMBED_DIM, EMBED_DIM, bits=bits),
    )
    return op, _stream(bits)


def mlp(bits: int, tile: int) -> tuple[Mlp, Array]:
    """The MLP block, all hidden units at a time."""
    op = Mlp(
        tokens=TOKENS,
        embed_dim=EMBED_DIM,
        hidden_dim=HIDDEN,
        token_tile=tile,
        hidden_tile=HIDDEN,
        lut=_bytes(256).astype(np.int8),
        residual=_residual(bits),
        norm=_norm(),
        fc1=_projection(HIDDEN, EMBED_DIM),
        fc2=_projection(EMBED_DIM, HIDDEN, bits=bits),
    )
    return op, _stream(bits)


def patch_embed() -> tuple[PatchEmbed, Array]:
    """240x240x3 in patches of 16, with positions."""
    op = PatchEmbed(
        image_height=240,
        image_width=240,
        channels=3,
        patch_height=16,
        patch_width=16,
        stride_y=16,
        stride_x=16,
        pad_top=0,
        pad_left=0,
        grid_height=15,
        grid_width=15,
        embed_dim=EMBED_DIM,
        input_zero_point=-128,
        output_bits=8,
        cls=None,
        pos=_bytes(TOKENS, EMBED_DIM).astype(np.int8),
        pos_zero_point=0,
        pos_multiplier=1 << 30,
        pos_shift=0,
        linear=_linear(EMBED_DIM, 768),
    )
    return op, _bytes(240, 240, 3)


def _pack_keys(keys: Array) -> Array:
    """int8 [tokens, head_dim] -> int16 [tokens even / 2, head_dim], tokens in pairs."""
    even = np.zeros((TOKENS + 1) // 2 * 2 * HEAD_DIM, np.int16).reshape(-1, HEAD_DIM)
    even[:TOKENS] = keys
    return (even[0::2] + 256 * even[1::2]).astype(np.int16)


def _tiled(rows: Array) -> Array:
    """int16 [row, k] -> a tile, [row / 2][k / 2][2][2]; an odd last row is followed by zeros."""
    k = rows.shape[1]
    even = np.zeros((len(rows) + len(rows) % 2, k), np.int16)
    even[: len(rows)] = rows
    return np.ascontiguousarray(even.reshape(-1, 2, k // 2, 2).transpose(0, 2, 1, 3))


def scores(machine: KernelEmulator, rows: int) -> CallResult:
    """The scores of ``rows`` queries and all keys of a head, checked."""
    machine.reset_memory()
    rng = _rng()
    q = rng.integers(-128, 128, (rows, HEAD_DIM))
    k = rng.integers(-127, 128, (TOKENS, HEAD_DIM)).astype(np.int8)
    packed = _pack_keys(k)
    out = machine.alloc(rows * CORE_STRIDE * 4)
    call = machine.call(
        "vit_dsp_scores", machine.put(_tiled(q)), rows // 2, HEAD_DIM, machine.put(packed),
        len(packed), machine.alloc(6 * HEAD_DIM + 16), out, paint=True, profile=True,
    )  # fmt: skip
    got = machine.get(out, np.int32, (rows // 2, CORE_STRIDE // 4, 2, 4)).transpose(0, 2, 1, 3)
    if (got.reshape(rows, CORE_STRIDE)[:, :TOKENS] != exact_matmul(q, k.T)).any():
        raise AssertionError("scores: differ from the reference")
    return call


def _head(machine: KernelEmulator, op: Attention) -> int:
    """Address of a VitHead (kernels/vit_softmax.h)."""
    low, high = op.context_numerator & 0xFFFFFFFF, op.context_numerator >> 32
    table = machine.put(np.asarray(op.exp_table, np.uint16))
    fields = [op.score_multiplier, table, op.score_shift, 0, low, high]  # int64 on 8 bytes
    fields += [op.context_zero_point, op.v.up.out_zero_point, TOKENS, HEAD_DIM, HEAD_DIM, 0]
    return machine.put(np.array(fields, np.int64).astype(np.uint32))


def attention_core(machine: KernelEmulator) -> Iterator[tuple[str, CallResult]]:
    """QK^T, softmax and PV of all heads, by the functions that vit_attention calls.

    Yields the name and the call of each part, right after it ran with a fresh profile; checks the
    context against the reference at the end.
    """
    op, _ = attention(8, CORE_TILE)
    rng = _rng()
    for _ in range(HEADS):
        machine.reset_memory()
        q, v = (rng.integers(-128, 128, (TOKENS, HEAD_DIM)).astype(np.int8) for _ in range(2))
        k = rng.integers(-127, 128, (TOKENS, HEAD_DIM)).astype(np.int8)
        head = _head(machine, op)
        values = np.zeros((HEAD_DIM, CORE_STRIDE), np.int8)
        values[:, :TOKENS] = v.T
        q_at, k_at, v_at = machine.put(q), machine.put(_pack_keys(k)), machine.put(values)
        row = machine.alloc(CORE_TILE * HEAD_DIM * 2)
        scores_at = machine.alloc(CORE_TILE * CORE_STRIDE * 4)
        e = machine.alloc(CORE_TILE * CORE_STRIDE * 2)
        expanded = machine.alloc(6 * VALUE_TOKENS + 16)
        totals = machine.alloc(CORE_TILE * 4)
        out = machine.alloc(TOKENS * HEAD_DIM)
        zero_point = op.q.up.out_zero_point
        for token in range(0, TOKENS, CORE_TILE):
            count = min(CORE_TILE, TOKENS - token)
            yield "widen", machine.call(
                "vit_widen_rows", q_at + token * HEAD_DIM, HEAD_DIM, HEAD_DIM, zero_point, row,
                HEAD_DIM, count, paint=True, profile=True,
            )  # fmt: skip
            yield "exponentials", machine.call(
                "vit_tile_exponentials", head, row, HEAD_DIM, count, k_at, expanded, scores_at,
                e, CORE_STRIDE, count, totals, paint=True, profile=True,
            )  # fmt: skip
            target = np.array([out + token * HEAD_DIM, HEAD_DIM, 0, 0, 0, 0, 0], np.int64)
            yield "context", machine.call(
                "vit_context", head, e, CORE_STRIDE, count, totals, v_at, expanded,
                VALUE_TOKENS, machine.put(target.astype(np.int32)), paint=True, profile=True,
            )  # fmt: skip
        weights = exponentials(op, exact_matmul(q.astype(np.int64) - zero_point, k.T))
        expected = context(op, weights, v.astype(np.int64), op.v.up.out_zero_point)
        if (machine.get(out, np.int8, (TOKENS, HEAD_DIM)) != expected).any():
            raise AssertionError("attention core: differs from the reference")
