# SPDX-License-Identifier: Apache-2.0
"""Small fused models with random parameters, built straight from the option dataclasses."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter import tflite
from converter.plan import Plan, Span
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import (
    Attention,
    LayerNorm,
    Linear,
    LinearOp,
    Mlp,
    Norm,
    Params,
    PatchEmbed,
    Pool,
    Projection,
    Residual,
    code_of,
    encode,
    operator_of,
)

SCRATCH_BYTES = 1 << 15  # generous: the layouts here are not planned


def linear(rng: np.random.Generator, inputs: int, outputs: int, low: int = -128) -> Linear:
    """Weights of every size; the multiplier brings sums of int8 inputs to about +-60."""
    weights = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    factor = 60.0 / (70.0 * 73.0 * np.sqrt(inputs)) * rng.uniform(0.5, 1.0, outputs)
    bias = rng.integers(-2000, 2000, outputs).astype(np.int32)
    return Linear(
        weights,
        bias,
        np.round(factor * 2.0**31).astype(np.int32),
        shift=1,
        out_zero_point=int(rng.integers(-20, 20)),
        out_min=low,
        k_block=exact_k_block(weights, bias),
    )


def projection(
    rng: np.random.Generator, inputs: int, outputs: int, rank: int = 0, low: int = -128
) -> Projection:
    if not rank:
        return Projection(linear(rng, inputs, outputs, low))
    return Projection(linear(rng, rank, outputs, low), down=linear(rng, inputs, rank))


def norm(rng: np.random.Generator, features: int) -> Norm:
    gamma = rng.integers(3 << 22, 5 << 22, features).astype(np.int32)
    return Norm(gamma, rng.integers(-2000, 2000, features).astype(np.int32), 1000)


def residual(rng: np.random.Generator, bits: int) -> Residual:
    zero_point = int(rng.integers(-10, 10)) if bits == 8 else 0
    return Residual(bits, zero_point, int(0.9 * 2**30), 2)


def _stream(p: Projection, bits: int) -> Projection:
    """The same projection, its output of the residual stream's type."""
    if bits == 8:
        return p
    up = dataclasses.replace(p.up, out_zero_point=0, out_min=-(1 << 15), out_max=(1 << 15) - 1)
    return dataclasses.replace(p, up=up)


def attention(
    rng: np.random.Generator, tokens: int, dim: int, heads: int, bits: int = 8, rank: int = 0
) -> Attention:
    inner = heads * 8
    table = np.round((2**15 - 1) * 2.0 ** (-np.arange(256) / 256)).astype(np.uint16)
    return Attention(
        tokens, dim, heads, 8, token_tile=3, heads_at_a_time=heads,
        score_multiplier=1 << 28, score_shift=0, exp_table=table,
        context_numerator=1 << 48, context_zero_point=3, shared_down=False,
        residual=residual(rng, bits), norm=norm(rng, dim),
        q=projection(rng, dim, inner, rank), k=projection(rng, dim, inner, rank, low=-127),
        v=projection(rng, dim, inner, rank), out=_stream(projection(rng, inner, dim, rank), bits),
    )  # fmt: skip


def mlp(rng: np.random.Generator, tokens: int, dim: int, bits: int = 8, rank: int = 0) -> Mlp:
    hidden = 2 * dim
    lut = np.clip(np.arange(-128, 128) * (np.arange(-128, 128) > 0), -128, 127).astype(np.int8)
    return Mlp(
        tokens, dim, hidden, 5, hidden, lut, residual(rng, bits), norm(rng, dim),
        projection(rng, dim, hidden, rank), _stream(projection(rng, hidden, dim, rank), bits),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ImageShape:
    """Geometry of the test models."""

    height: int = 16
    width: int = 12
    channels: int = 3
    patch: int = 4
    stride: int = 4
    pad: int = 0

    @property
    def grid(self) -> tuple[int, int]:
        down = (self.height + 2 * self.pad - self.patch) // self.stride + 1
        return down, (self.width + 2 * self.pad - self.patch) // self.stride + 1


def patch_embed(
    rng: np.random.Generator, image: ImageShape, dim: int, bits: int = 8, with_cls: bool = False
) -> PatchEmbed:
    down, across = image.grid
    p = linear(rng, image.patch * image.patch * image.channels, dim)
    p = _stream(Projection(p), bits).up
    dtype = np.int8 if bits == 8 else np.int16
    cls = rng.integers(-100, 100, dim).astype(dtype) if with_cls else None
    return PatchEmbed(
        image.height, image.width, image.channels, image.patch, image.patch,
        image.stride, image.stride, image.pad, image.pad, down, across, dim,
        input_zero_point=-5, output_bits=bits, cls=cls,
        pos=rng.integers(-100, 100, (down * across, dim)).astype(np.int8),
        pos_zero_point=2, pos_multiplier=1 << 29, pos_shift=3, linear=p,
    )  # fmt: skip


def vit_ops(
    seed: int = 0,
    image: ImageShape | None = None,
    dim: int = 12,
    bits: int = 8,
    rank: int = 0,
    with_cls: bool = False,
    classes: int = 10,
) -> list[Params]:
    """Patch embedding, two attention and MLP blocks, pooled LayerNorm, classifier."""
    rng = np.random.default_rng(seed)
    embed = patch_embed(rng, image or ImageShape(), dim, bits, with_cls)
    ops: list[Params] = [embed]
    for _ in range(2):
        ops.append(attention(rng, embed.tokens, dim, 2, bits, rank))
        ops.append(mlp(rng, embed.tokens, dim, bits, rank))
    pool = Pool.FIRST if with_cls else Pool.MEAN
    ops.append(
        LayerNorm(
            embed.tokens, dim, bits, pool, 4, (1 << 32) // max(3, embed.tokens), 1, norm(rng, dim)
        )
    )
    ops.append(LinearOp(1, 1, projection(rng, dim, classes)))
    return ops


def _result(op: Params, name: str) -> tflite.Tensor:
    """The tensor of an operator's output; a row that stands for all tokens has no dimension."""
    y = operator_of(op).output
    assert y.shape is not None
    shape = y.shape if y.shape[0] == 1 else (1, *y.shape)
    zero_point = -5 if y.zero_point is None else y.zero_point
    return tflite.Tensor(name, shape, y.dtype, tflite.Quantization.per_tensor(0.05, zero_point))


def model_bytes(ops: list[Params]) -> bytes:
    """A ``.tflite`` of consecutive fused operators, the first a patch embedding."""
    first = ops[0]
    assert isinstance(first, PatchEmbed)
    quantization = tflite.Quantization.per_tensor(0.05, -5)
    shape = (1, *operator_of(first).inputs[0].shape)
    tensors = [tflite.Tensor("image", shape, np.dtype(np.int8), quantization)]
    operators = []
    for i, op in enumerate(ops):
        options, blob = encode(op)
        data = np.frombuffer(blob, np.uint8)
        inputs = (len(tensors) - 1, len(tensors))
        tensors.append(tflite.Tensor(f"blob{i}", data.shape, data.dtype, None, data))
        tensors.append(_result(op, f"op{i}"))
        operators.append(
            tflite.Operator(
                "CUSTOM",
                inputs,
                (len(tensors) - 1,),
                custom_code=code_of(op),
                custom_options=options,
            )
        )
    graph = tflite.Graph(tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))
    return tflite.serialize(tflite.Model(graph))


def _align(n: int) -> int:
    return (n + 15) // 16 * 16


def stacked_plan(ops: list[Params], streamed: bool = False, in_place: bool = True) -> Plan:
    """Image, tokens, tail buffers and one shared scratch, one above the other.

    With ``in_place`` the blocks overwrite their input; else they alternate between two buffers.
    """
    first = ops[0]
    assert isinstance(first, PatchEmbed)
    image = first.image_height * first.image_width * first.channels
    strip = Span(0, first.patch_height * first.image_width * first.channels) if streamed else None
    top = _align(strip.size_bytes if strip else image)
    tokens = _align(first.tokens * first.embed_dim * first.output_bits // 8)
    halls = (top, top if in_place else top + tokens)
    top = halls[1] + tokens
    tensors = [None if streamed else Span(0, image)]
    for i, op in enumerate(ops):
        size = _result(op, "").nbytes
        if isinstance(op, LayerNorm | LinearOp):
            offset, top = top, top + 1024
        else:
            offset = halls[i % 2]
        tensors += [None, Span(offset, size)]
    scratch = tuple(Span(top, SCRATCH_BYTES) for _ in ops)
    return Plan(top + SCRATCH_BYTES, 0, tuple(tensors), scratch, strip)
