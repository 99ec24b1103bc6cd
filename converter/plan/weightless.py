# SPDX-License-Identifier: Apache-2.0
"""The fused operators of an architecture without its weights, to plan it before it is trained.

Only shapes decide a schedule and a plan, so that weights are zeros that take no memory here. The
plan equals that of the converted network (one cost model).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.plan.weightless_blocks import attention_params, mlp_params
from converter.plan.weightless_builder import GraphBuilder
from converter.plan.weightless_stages import add_stages, convolution
from converter.tflite import Graph, Model, Quantization, serialize
from keras_models.arch import ArchConfig
from keras_models.datasets.normalization import BYTES
from keras_models.parts import PATCHES, ArchError
from keras_models.staged import Architecture, StagedConfig
from keras_models.stages import Convolution
from tflm_custom_ops.ops import Params, Pool, encode, operator_of
from tflm_custom_ops.ops.gelu import operator as gelu
from tflm_custom_ops.ops.layer_norm import operator as layer_norm
from tflm_custom_ops.ops.linear import operator as linear
from tflm_custom_ops.ops.patch_embed import operator as patch_embed
from tflm_custom_ops.ops.weightless import zeros

ANY_SCALE, ANY_ZERO_POINT = 0.05, -5  # of a tensor in a file without trained weights
_POOLS = {"mean": Pool.MEAN, "cls": Pool.FIRST, PATCHES: Pool.NONE}


def _patch_embed(arch: ArchConfig, bits: int) -> Params:
    return patch_embed.weightless(
        (arch.patch_input_side, arch.patch_input_channels),
        arch.patch_size,
        arch.grid,
        arch.embed_dim,
        bits=bits,
        padding=arch.patch_padding,
        class_token=arch.class_token,
    )


def _ends(arch: ArchConfig, bits: int) -> list[Params]:
    """LayerNorm, with the pool where it is its own, and classifier."""
    pool = _POOLS[arch.pool]
    norm = layer_norm.weightless(arch.tokens, arch.embed_dim, bits=bits, pool=pool)
    head: Params = linear.weightless(1, arch.embed_dim, arch.num_classes)
    return [norm, head]


def weightless_ops(arch: ArchConfig, residual_bits: int = 8) -> list[Params]:
    """The fused operators behind the stem, in order."""
    ops = [_patch_embed(arch, residual_bits)]
    packed = arch.attention == "packed"
    for block in arch.transformer_blocks.values():
        ops += [attention_params(block, packed, residual_bits), mlp_params(block, residual_bits)]
    return [*ops, *_ends(arch, residual_bits)]


def _stem(build: GraphBuilder, arch: Architecture) -> int:
    """The map behind the stem."""
    x, channels = 0, arch.channels
    for layer, side in zip(arch.stem, arch.stem_sides, strict=True):
        x = convolution(
            build, x, Convolution("", layer.kernel, layer.stride, channels, layer.channels, side)
        )
        channels = layer.channels
        if layer.activation == "gelu":
            x = build.fused(gelu.weightless(), x, shape=build.shape(x))
    return x


def weightless_graph(
    arch: Architecture, residual_bits: int = 8
) -> tuple[Graph, tuple[Params | None, ...]]:
    """The fused graph of an architecture, and its operators' parameters (None for builtin ones).

    The graph has no weights and no options, so that it can be planned but not run.

    Raises:
      ArchError: a dense head, a vocabulary, a question, norm_after, or stages with a residual
        stream of 16 bits, whose operators are known once they are converted only.
    """
    if arch.dense or arch.question or arch.normalization == BYTES:
        what = "a dense head" if arch.dense else "a question" if arch.question else "a vocabulary"
        raise ArchError(
            f"ArchConfig: {arch.name!r} has {what}, expected a classifier of pictures; convert it "
            "to plan it"
        )
    if arch.norm_after:
        raise ArchError(f"ArchConfig: {arch.name!r} has norm_after; convert it to plan it")
    build = GraphBuilder((1, arch.image_size, arch.image_size, arch.channels))
    x = _stem(build, arch)
    if isinstance(arch, StagedConfig):
        if residual_bits != 8:
            raise ArchError(
                f"ArchConfig: {arch.name!r} has stages, expected a residual stream of 8 bits, not "
                f"{residual_bits}; convert it to plan it so"
            )
        x = add_stages(build, x, arch)
        classes = linear.weightless(1, arch.sources[-1].width, arch.num_classes)
        return build.graph(build.fused(classes, x))
    *ops, head = weightless_ops(arch, residual_bits)
    for op in ops:
        x = build.fused(op, x)
    if arch.pool == PATCHES:
        x = _mean_of_patches(build, x, arch)
    return build.graph(build.fused(head, x))


def _mean_of_patches(build: GraphBuilder, x: int, arch: ArchConfig) -> int:
    rows = (1, arch.grid**2, arch.embed_dim)
    x = build.builtin("STRIDED_SLICE", (x,), rows, *[zeros("int32", 3)] * 3)
    return build.builtin("MEAN", (x,), (1, arch.embed_dim), zeros("int32"))


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
