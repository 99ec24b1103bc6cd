# SPDX-License-Identifier: Apache-2.0
"""The fused operators of an architecture without its weights, to plan it before it is trained.

Only shapes decide a schedule and a plan, so that weights are zeros that take no memory here. The
plan equals that of the converted network (one cost model).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from keras_models.arch import POOLS, ArchConfig, ArchError
from tflm_custom_ops.ops import Params, Pool, code_of, encode, operator_of
from tflm_custom_ops.ops.attention import operator as attention
from tflm_custom_ops.ops.gelu import operator as gelu
from tflm_custom_ops.ops.layer_norm import operator as layer_norm
from tflm_custom_ops.ops.linear import operator as linear
from tflm_custom_ops.ops.mlp import operator as mlp
from tflm_custom_ops.ops.patch_embed import operator as patch_embed
from tflm_custom_ops.ops.weightless import zeros

ANY_SCALE, ANY_ZERO_POINT = 0.05, -5  # of a tensor in a file without trained weights

# Blocks of one shape are the same object: it is made, and its schedules are compared, once.
_same_attention = functools.lru_cache(256)(attention.weightless)
_same_mlp = functools.lru_cache(256)(mlp.weightless)


def _attention(arch: ArchConfig, block: int, bits: int) -> Params:
    ranks = arch.block_ranks(block)
    return _same_attention(
        arch.tokens,
        arch.embed_dim,
        arch.heads[block],
        arch.head_dim,
        bits=bits,
        qkv_rank=ranks.qkv,
        out_rank=ranks.proj,
        shared_down=bool(ranks.qkv) and arch.attention == "packed",
    )


def _mlp(arch: ArchConfig, block: int, bits: int) -> Params:
    ranks = arch.block_ranks(block)
    return _same_mlp(
        arch.tokens,
        arch.embed_dim,
        arch.hidden_dim(block),
        bits=bits,
        fc1_rank=ranks.fc1,
        fc2_rank=ranks.fc2,
    )


def _patch_embed(arch: ArchConfig, bits: int) -> Params:
    return patch_embed.weightless(
        (arch.patch_input_side, arch.patch_input_channels),
        arch.patch_size,
        arch.grid,
        arch.embed_dim,
        bits=bits,
        padding=arch.patch_padding,
        class_token=arch.pool == "cls",
    )


def weightless_ops(arch: ArchConfig, residual_bits: int = 8) -> list[Params]:
    """The fused operators behind the stem, in order.

    Raises:
      ArchError: relative position or a mean behind a class token, whose operators are known once
        they are converted only.
    """
    if arch.relative_position or arch.pool not in POOLS:
        raise ArchError(
            f"ArchConfig: {arch.name!r} has relative position or pool={arch.pool!r}, expected a "
            'network without, with pool "mean" or "cls"; convert it to plan it'
        )
    ops: list[Params] = [_patch_embed(arch, residual_bits)]
    for block in range(arch.depth):
        ops += [_attention(arch, block, residual_bits), _mlp(arch, block, residual_bits)]
    pool = Pool.FIRST if arch.pool == "cls" else Pool.MEAN
    ops.append(layer_norm.weightless(arch.tokens, arch.embed_dim, bits=residual_bits, pool=pool))
    ops.append(linear.weightless(1, arch.embed_dim, arch.num_classes))
    return ops


class _Builder:
    """A graph of one path."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors = [Tensor("image", shape, np.dtype(np.int8))]
        self.operators: list[Operator] = []
        self.ops: list[Params | None] = []
        self._last = 0

    def add(
        self, op: Params | None, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
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
    return zeros("uint8", 16)


def weightless_graph(
    arch: ArchConfig, residual_bits: int = 8
) -> tuple[Graph, tuple[Params | None, ...]]:
    """The fused graph of an architecture, and its operators' parameters (None for the stem's).

    The graph has no weights and no options, so that it can be planned but not run.
    """
    int8 = np.dtype(np.int8)
    builder = _Builder((1, arch.image_size, arch.image_size, arch.channels))
    for layer, side in zip(arch.stem, arch.stem_sides, strict=True):
        shape = (1, side, side, layer.channels)
        builder.add(None, "CONV_2D", shape, int8)
        if layer.activation == "gelu":
            builder.add(gelu.weightless(), "VitGelu", shape, int8)
    for op in weightless_ops(arch, residual_bits):
        output = operator_of(op).output
        assert output.shape is not None  # none of weightless_ops() takes any shape
        # Rows and features of one image; a row that stands for all tokens has no dimension.
        batch = () if output.shape[0] == 1 else (1,)
        builder.add(op, code_of(op), (*batch, *output.shape), output.dtype)
    return builder.graph(), tuple(builder.ops)


def behind_the_image(
    graph: Graph, ops: tuple[Params | None, ...]
) -> tuple[Graph, tuple[Params | None, ...]]:
    """The graph that takes the tokens instead: without its first operator, which makes them."""
    operators = graph.operators[1:]
    return dataclasses.replace(graph, operators=operators, inputs=operators[0].inputs[:1]), ops[1:]


def fused_file(graph: Graph, ops: Sequence[Params | None]) -> bytes:
    """The file of a fused graph: options, packed weights, and scales of no meaning."""
    tensors, operators = list(graph.tensors), []
    zero_points: dict[int, int] = {}  # that the operators state of the tensors around them
    for operator, op in zip(graph.operators, ops, strict=True):
        if op is not None:
            types = (*operator_of(op).inputs, operator_of(op).output)
            around = (*operator.inputs[:-1], *operator.outputs)
            for index, stated in zip(around, types, strict=True):
                if stated.zero_point is not None:
                    zero_points[index] = stated.zero_point
            words, blob = encode(op)
            data = np.frombuffer(blob, np.uint8)
            index = operator.inputs[-1]
            tensors[index] = dataclasses.replace(tensors[index], shape=data.shape, data=data)
            operator = dataclasses.replace(operator, custom_options=words)
        operators.append(operator)
    for index, tensor in enumerate(tensors):
        if not tensor.is_constant:
            zero = zero_points.get(index, ANY_ZERO_POINT)
            quantization = Quantization.per_tensor(ANY_SCALE, zero)
            tensors[index] = dataclasses.replace(tensor, quantization=quantization)
    graph = dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))
    return serialize(Model(graph))
