# SPDX-License-Identifier: Apache-2.0
"""Stages of a `StagedConfig` as Keras layers: convolutions, ways down, transformer blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_models.blocks import NetworkBuilder, transformer_block
from keras_models.staged import StagedConfig
from keras_models.stages import (
    ATTENTION_BLOCKS,
    CONV_BLOCKS,
    KERNEL,
    AttentionStage,
    Convolution,
    ConvStage,
    StageGrid,
)
from keras_models.text_embedding import token_rows

DEPTHWISE = "_depth_conv"  # the name of a depthwise layer ends so


def normalized_convolutions(arch: StagedConfig) -> tuple[str, ...]:
    """Names of the stages' convolutions with batch normalization, without the ending of layers."""
    return tuple(
        f"stage{i}_block{block}_{layer.name}"
        for i, (stage, source) in enumerate(arch.walk())
        for block, layers in enumerate(stage.convolutions(source))
        for layer in layers
        if layer.batch_norm
    )


def stages(build: NetworkBuilder, x: Any, arch: StagedConfig, asked: Any = None) -> Any:
    """From the stem's map (batch, side, side, channels), or a text's square, to (batch, width), the
    mean of the last, or for a dense head to all of the last, (batch, tokens, width) or (batch,
    side, side, width); with a question's code to what both say together, (batch, hidden)."""
    if arch.vocabulary:
        x = _line(build, x, arch.sources[0])
    first = 0  # of the stage, among all blocks
    for i, (stage, source) in enumerate(arch.walk()):
        x = _STAGES[stage.blocks](build, x, stage, source, f"stage{i}", first)
        first += stage.depth
    if arch.ends_in_tokens:
        x = build.layer_norm("norm")(x)
    if arch.dense:
        return x
    if asked is not None:
        return _answering(build, x, arch, asked)
    if not arch.ends_in_tokens:
        return build.kit.keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return build.kit.TokenPool("mean", name="pool")(x)


def _line(build: NetworkBuilder, x: Any, grid: StageGrid) -> Any:
    """A text as a map of one row of its tokens, (batch, 1, tokens, width)."""
    shape = (1, grid.side, grid.width)
    return build.kit.keras.layers.Reshape(shape, name="line")(token_rows(build, x))


def _answering(build: NetworkBuilder, x: Any, arch: StagedConfig, asked: Any) -> Any:
    layers, last = build.kit.keras.layers, arch.sources[-1]
    x = layers.Reshape((last.side**2 * last.width,), name="whole")(x)
    parts = [
        layers.Dense(arch.hidden, name="hidden")(x),
        layers.Dense(arch.hidden, name="question_hidden")(asked),
    ]
    return layers.ReLU(name="hidden_relu")(layers.Add(name="hidden_add")(parts))


# ---- convolutions --------------------------------------------------------------------------------


def _convolution(build: NetworkBuilder, x: Any, layer: Convolution, block: str) -> Any:
    """Convolution and batch normalization, which the converter folds into it."""
    layers, name = build.kit.keras.layers, f"{block}_{layer.name}"
    use_bias = not layer.batch_norm
    common = {"strides": layer.stride, "padding": "same", "use_bias": use_bias}
    if layer.depthwise:
        x = layers.DepthwiseConv2D(
            layer.window, depthwise_initializer="he_normal", name=f"{name}_conv", **common
        )(x)
    else:
        x = layers.Conv2D(
            layer.outputs, layer.window, kernel_initializer="he_normal", name=f"{name}_conv",
            **common,
        )(x)  # fmt: skip
    return layers.BatchNormalization(name=f"{name}_bn")(x) if layer.batch_norm else x


def _residual(
    build: NetworkBuilder, x: Any, layers: tuple[Convolution, ...], index: int, name: str
) -> Any:
    relu = build.kit.keras.layers.ReLU
    *short, a, b = layers
    other = x
    for layer in short:  # first, so that the larger input is gone while `b` runs
        other = _convolution(build, x, layer, name)
    y = relu(name=f"{name}_a_relu")(_convolution(build, x, a, name))
    y = _convolution(build, y, b, name)
    return relu(name=f"{name}_relu")(build.residual(other, y, index, f"{name}_add"))


def _separable(
    build: NetworkBuilder, x: Any, layers: tuple[Convolution, ...], index: int, name: str
) -> Any:
    del index
    for layer in layers:
        x = _convolution(build, x, layer, name)
        x = build.kit.keras.layers.ReLU(name=f"{name}_{layer.name}_relu")(x)
    return x


_BLOCKS = {"residual": _residual, "separable": _separable}


def _conv_stage(
    build: NetworkBuilder, x: Any, stage: ConvStage, source: StageGrid, name: str, first: int
) -> Any:
    for block, layers in enumerate(stage.convolutions(source)):
        x = _BLOCKS[stage.blocks](build, x, layers, first + block, f"{name}_block{block}")
    return x


# ---- from pixels or tokens to a stage's tokens ---------------------------------------------------


def _tokens(
    build: NetworkBuilder, x: Any, stage: AttentionStage, source: StageGrid, name: str
) -> Any:
    """(batch, tokens, width) of the stage's grid."""
    x = _down(build, x, stage, source, name)
    grid = stage.output(source)
    if len(x.shape) == 4:
        shape = (grid.side**2, grid.width)
        x = build.kit.keras.layers.Reshape(shape, name=f"{name}_tokens")(x)
    if stage.norm:
        x = build.layer_norm(f"{name}_tokens_norm")(x)
    if stage.position:
        x = build.kit.PositionEmbedding(name=f"{name}_embedding")(x)
    return x


def _down(
    build: NetworkBuilder, x: Any, stage: AttentionStage, source: StageGrid, name: str
) -> Any:
    layers = build.kit.keras.layers
    if stage.down == "none":
        return x
    if stage.down == "merge":
        x = build.kit.PatchMerge(source.side, stage.stride, name=f"{name}_merge")(x)
        x = build.layer_norm(f"{name}_norm")(x)
        return layers.Dense(stage.width, use_bias=False, name=f"{name}_down")(x)
    if len(x.shape) == 3:
        x = layers.Reshape((source.side, source.side, source.width), name=f"{name}_map")(x)
    kernel, padding = (KERNEL, "same") if stage.down == "conv" else (stage.stride, "valid")
    return layers.Conv2D(
        stage.width, kernel, strides=stage.stride, padding=padding, name=f"{name}_down"
    )(x)


def _attention_stage(
    build: NetworkBuilder, x: Any, stage: AttentionStage, source: StageGrid, name: str, first: int
) -> Any:
    x = _tokens(build, x, stage, source, name)
    for index, block in enumerate(stage.transformer_blocks(source), first):
        x = transformer_block(build, x, block, index)
    return x


_STAGES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(CONV_BLOCKS, _conv_stage),
    ATTENTION_BLOCKS: _attention_stage,
}
