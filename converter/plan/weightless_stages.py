# SPDX-License-Identifier: Apache-2.0
"""The fused graph of an architecture of stages without its weights (`converter.plan.weightless`).

The operators, their order and what each reads are those that the fuser makes of the converted
network; tests/converter/fuse/test_stages.py compares plan, schedules and constants.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from converter.plan.weightless_blocks import attention_block, mlp_block
from converter.plan.weightless_builder import GraphBuilder
from keras_models.staged import StagedConfig
from keras_models.stages import (
    ATTENTION_BLOCKS,
    KERNEL,
    AttentionStage,
    Convolution,
    ConvStage,
    StageGrid,
)
from tflm_custom_ops.ops import Pool
from tflm_custom_ops.ops.layer_norm import operator as layer_norm
from tflm_custom_ops.ops.patch_embed import operator as patch_embed
from tflm_custom_ops.ops.patch_merge import operator as patch_merge
from tflm_custom_ops.ops.weightless import uniform, zeros

# Layers of one shape are the same object: its schedules are compared once.
_same_norm = functools.lru_cache(256)(layer_norm.weightless)
_same_patches = functools.lru_cache(256)(patch_embed.weightless)
_same_merge = functools.lru_cache(256)(patch_merge.weightless)


def add_stages(build: GraphBuilder, x: int, arch: StagedConfig) -> int:
    """The stages behind the stem's map, and the mean of the last; returns the mean's tensor."""
    packed = arch.attention == "packed"
    for stage, source in arch.walk():
        x = _STAGES[stage.blocks](build, x, stage, source, packed)
    grid = arch.sources[-1]
    if arch.ends_in_tokens:
        return build.fused(_same_norm(grid.side**2, grid.width, pool=Pool.MEAN), x)
    return build.builtin("MEAN", (x,), (1, grid.width), zeros("int32", 2))


def convolution(build: GraphBuilder, x: int, layer: Convolution) -> int:
    """A convolution with its activation; int8 weights, int32 biases.

    Weights of 4 bits are ones, numbers of 4 bits: by that a file tells them, too.
    """
    shape = (1, layer.side, layer.side, layer.outputs)
    size = (layer.kernel, layer.kernel)
    bias = zeros("int32", layer.outputs)
    if layer.depthwise:
        weights = zeros("int8", 1, *size, layer.outputs)
        return build.builtin("DEPTHWISE_CONV_2D", (x,), shape, weights, bias)
    number = 1 if layer.weight_bits == 4 else 0
    weights = uniform("int8", number, layer.outputs, *size, layer.inputs)
    return build.builtin("CONV_2D", (x,), shape, weights, bias)


# ---- convolutions --------------------------------------------------------------------------------


def _residual(build: GraphBuilder, x: int, layers: tuple[Convolution, ...]) -> int:
    *short, a, b = layers
    y = convolution(build, convolution(build, x, a), b)
    for layer in short:  # TensorFlow puts it here; `GraphBuilder.graph` orders as the fuser does
        x = convolution(build, x, layer)
    return build.builtin("ADD", (x, y), build.shape(y))


def _separable(build: GraphBuilder, x: int, layers: tuple[Convolution, ...]) -> int:
    for layer in layers:
        x = convolution(build, x, layer)
    return x


_BLOCKS = {"residual": _residual, "separable": _separable}


def _conv_stage(
    build: GraphBuilder, x: int, stage: ConvStage, source: StageGrid, packed: bool
) -> int:
    del packed
    for layers in stage.convolutions(source):
        x = _BLOCKS[stage.blocks](build, x, layers)
    return x


def _reshape(build: GraphBuilder, x: int, shape: tuple[int, ...]) -> int:
    return build.builtin("RESHAPE", (x,), shape, np.array(shape, np.int32))


# ---- attention -----------------------------------------------------------------------------------


def _attention_stage(
    build: GraphBuilder, x: int, stage: AttentionStage, source: StageGrid, packed: bool
) -> int:
    x = _tokens(build, x, stage, source)
    for block in stage.transformer_blocks(source):
        x = attention_block(build, x, block, packed)
        x = mlp_block(build, x, block)
    return x


def _tokens(build: GraphBuilder, x: int, stage: AttentionStage, source: StageGrid) -> int:
    """(1, tokens, width) of the stage's grid."""
    grid = stage.output(source)
    rows = (1, grid.side**2, grid.width)
    position = stage.position
    if stage.down == "merge":
        x = build.fused(_same_merge(grid.side, stage.stride, source.width, stage.width), x)
    elif stage.down != "none":
        own_position = position and not stage.norm  # part of the operator
        x = _patches(build, x, stage, source, own_position)
        position = position and not own_position
    elif len(build.shape(x)) == 4:
        x = _reshape(build, x, rows)
    if stage.norm:
        x = build.fused(_same_norm(grid.side**2, grid.width), x)
    if position:
        x = build.builtin("ADD", (x,), rows, zeros("int8", *rows))
    return x


def _patches(
    build: GraphBuilder, x: int, stage: AttentionStage, source: StageGrid, position: bool
) -> int:
    """A strided convolution, which is a patch embedding."""
    if len(build.shape(x)) == 3:
        shape = (1, source.side, source.side, source.width)
        x = _reshape(build, x, shape)
    kernel = KERNEL if stage.down == "conv" else stage.stride
    side = source.side // stage.stride
    padding = max(0, (side - 1) * stage.stride + kernel - source.side) // 2
    op = _same_patches(
        (source.side, source.width), kernel, side, stage.width,
        stride=stage.stride, padding=padding, position=position,
    )  # fmt: skip
    return build.fused(op, x)


_STAGES: dict[str, Callable[..., int]] = {
    **dict.fromkeys(_BLOCKS, _conv_stage),
    ATTENTION_BLOCKS: _attention_stage,
}
