# SPDX-License-Identifier: Apache-2.0
"""The fused operators of an architecture without its weights, to plan it before it is trained.

Only shapes decide a schedule and a plan, so that weights are zeros that take no memory here. The
plan equals that of the converted network (one cost model).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Graph, Operator, Tensor
from keras_models.arch import ArchConfig, BlockRanks
from tflm_custom_ops import options as o


def _zeros(dtype: type[np.generic], *shape: int) -> NDArray[Any]:
    """Zeros that share one element."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def _linear(inputs: int, outputs: int) -> o.Linear:
    return o.Linear(
        _zeros(np.int8, outputs, inputs), _zeros(np.int32, outputs), _zeros(np.int32, outputs)
    )


def _projection(inputs: int, outputs: int, rank: int) -> o.Projection:
    if not rank:
        return o.Projection(_linear(inputs, outputs))
    return o.Projection(_linear(rank, outputs), _linear(inputs, rank))


def _norm(features: int) -> o.Norm:
    return o.Norm(_zeros(np.int32, features), _zeros(np.int32, features), 1)


def _patch_embed(arch: ArchConfig, bits: int) -> o.PatchEmbed:
    side, grid, dim = arch.patch_input_side, arch.grid, arch.embed_dim
    channels, patch = arch.patch_input_channels, arch.patch_size
    cls = _zeros(o.residual_dtype(bits), dim) if arch.pool == "cls" else None
    return o.PatchEmbed(
        *(side, side, channels, patch, patch, patch, patch),
        *(arch.patch_padding, arch.patch_padding, grid, grid, dim),
        input_zero_point=0,
        output_bits=bits,
        cls=cls,
        pos=_zeros(np.int8, grid * grid, dim),
        pos_zero_point=0,
        pos_multiplier=1 << 30,
        pos_shift=2,
        linear=_linear(patch * patch * channels, dim),
    )


def _attention(arch: ArchConfig, block: int, bits: int) -> o.Attention:
    dim, inner = arch.embed_dim, arch.inner_dim(block)
    ranks: BlockRanks = arch.block_ranks(block)
    q, k, v = (_projection(dim, inner, ranks.qkv) for _ in range(3))
    return o.Attention(
        *(arch.tokens, dim, arch.heads[block], arch.head_dim, 1, arch.heads[block]),
        score_multiplier=1 << 28,
        score_shift=0,
        exp_table=_zeros(np.uint16, 256),
        context_numerator=1 << 48,
        context_zero_point=0,
        shared_down=bool(ranks.qkv) and arch.attention == "packed",
        residual=o.Residual(bits, 0, 1 << 30, 2),
        norm=_norm(dim),
        q=q,
        k=k,
        v=v,
        out=_projection(inner, dim, ranks.proj),
    )


def _mlp(arch: ArchConfig, block: int, bits: int) -> o.Mlp:
    dim, hidden, ranks = arch.embed_dim, arch.hidden_dim(block), arch.block_ranks(block)
    return o.Mlp(
        *(arch.tokens, dim, hidden, 1, hidden),
        lut=_zeros(np.int8, 256),
        residual=o.Residual(bits, 0, 1 << 30, 2),
        norm=_norm(dim),
        fc1=_projection(dim, hidden, ranks.fc1),
        fc2=_projection(hidden, dim, ranks.fc2),
    )


def fused_ops(arch: ArchConfig, residual_bits: int = 8) -> list[o.Op]:
    """The fused operators behind the stem, in order."""
    ops: list[o.Op] = [_patch_embed(arch, residual_bits)]
    for block in range(arch.depth):
        ops += [_attention(arch, block, residual_bits), _mlp(arch, block, residual_bits)]
    pool = o.Pool.FIRST if arch.pool == "cls" else o.Pool.MEAN
    norm = _norm(arch.embed_dim)
    ops.append(o.LayerNorm(arch.tokens, arch.embed_dim, residual_bits, pool, 0, 1, 0, norm))
    ops.append(o.LinearOp(1, 1, _projection(arch.embed_dim, arch.num_classes, 0)))
    return ops


def output_of(op: o.Op) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a fused operator's output."""
    if isinstance(op, o.PatchEmbed):
        return (1, op.tokens, op.embed_dim), np.dtype(o.residual_dtype(op.output_bits))
    if isinstance(op, o.Attention | o.Mlp):
        return (1, op.tokens, op.embed_dim), np.dtype(o.residual_dtype(op.residual.bits))
    if isinstance(op, o.LayerNorm):
        rows = (op.tokens,) if op.pool == o.Pool.NONE else ()
        return (1, *rows, op.embed_dim), np.dtype(np.int8)
    if isinstance(op, o.LinearOp):
        return (op.rows, op.projection.out_features), np.dtype(np.int8)
    raise TypeError(f"got {type(op).__name__}, expected an operator with a shape of its own")


class _Builder:
    """A graph of one path."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors = [Tensor("image", shape, np.dtype(np.int8))]
        self.operators: list[Operator] = []
        self.ops: list[o.Op | None] = []
        self._last = 0

    def add(self, op: o.Op | None, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        inputs: tuple[int, ...] = (self._last,)
        if op is not None:
            self.tensors.append(
                Tensor(f"blob{len(self.ops)}", (16,), np.dtype(np.uint8), data=_blob())
            )
            inputs += (len(self.tensors) - 1,)
        self._last = len(self.tensors)
        self.tensors.append(Tensor(f"{name.lower()}{len(self.ops)}", shape, dtype))
        code = "" if op is None else name
        opcode = name if op is None else "CUSTOM"
        self.operators.append(Operator(opcode, inputs, (self._last,), code))
        self.ops.append(op)

    def graph(self) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.operators), (0,), (self._last,))


def _blob() -> NDArray[Any]:
    return _zeros(np.uint8, 16)


def skeleton(arch: ArchConfig, residual_bits: int = 8) -> tuple[Graph, tuple[o.Op | None, ...]]:
    """The fused graph of an architecture, and its operators' parameters (None for the stem's).

    The graph has no weights and no options, so that it can be planned but not run.
    """
    int8 = np.dtype(np.int8)
    builder = _Builder((1, arch.image_size, arch.image_size, arch.channels))
    for layer, side in zip(arch.stem, arch.stem_sides, strict=True):
        shape = (1, side, side, layer.channels)
        builder.add(None, "CONV_2D", shape, int8)
        if layer.activation == "gelu":
            builder.add(o.Gelu(_zeros(np.int8, 256)), "VitGelu", shape, int8)
    for op in fused_ops(arch, residual_bits):
        builder.add(op, o.CUSTOM_CODES[o.kind_of(op)], *output_of(op))
    return builder.graph(), tuple(builder.ops)
