# SPDX-License-Identifier: Apache-2.0
"""Stages: runs of blocks of one width on one grid, and how a stage comes from the one before.

A stage takes a square map of pixels or the tokens of a grid, which are the same values in the same
order, or the tokens of a text in a line. Stages of convolutions are those of residual networks (He
et al., CVPR 2016) and MobileNet (Howard et al., 2017), along a line those of very deep networks of
texts (Conneau et al., EACL 2017), stages of attention those of ViT (Dosovitskiy et al., ICLR 2021),
with the windows and patch merging of Swin (Liu et al., ICCV 2021) and the relative position of
AutoFormer (Chen et al., ICCV 2021).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from keras_models.parts import (
    BlockRanks,
    Places,
    TransformerBlock,
    check_choice,
    check_int,
    check_ranks,
    check_ratio,
    check_relative,
    check_weight_bits,
    fail,
    later,
)

CONV_BLOCKS = ("residual", "separable")
ATTENTION_BLOCKS = "attention"
DOWNSAMPLING = ("none", "patch", "conv", "merge")
KERNEL = 3  # of every convolution but those that only change the width


@dataclasses.dataclass(frozen=True)
class StageGrid:
    """What goes into a stage: `side` * `side` pixels or tokens of `width` channels, or `side`
    tokens of a text in a line."""

    side: int
    width: int
    line: bool = False

    @property
    def places(self) -> int:
        """Pixels or tokens."""
        return self.side if self.line else self.side**2


@dataclasses.dataclass(frozen=True)
class Convolution:
    """One convolution, `same` padding.

    Attributes:
      name: within its block: "a", "b", "short", "depth" or "point".
      kernel, stride: of both directions.
      inputs, outputs: channels; the same where it is depthwise.
      side: of its output.
      depthwise: each channel has a kernel of its own.
      batch_norm: in the place of a bias.
      weight_bits: once quantized.
      line: its output is one row, as its kernel is.
    """

    name: str
    kernel: int
    stride: int
    inputs: int
    outputs: int
    side: int
    depthwise: bool = False
    batch_norm: bool = True
    weight_bits: int = 8
    line: bool = False

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the kernel."""
        return (1 if self.line else self.kernel, self.kernel)

    @property
    def weights(self) -> int:
        rows, columns = self.window
        return rows * columns * self.outputs * (1 if self.depthwise else self.inputs)

    @property
    def params(self) -> int:
        """Trainable ones: weights, and a bias, or gamma and beta of the batch normalization."""
        return self.weights + self.outputs * (2 if self.batch_norm else 1)

    @property
    def macs(self) -> int:
        return (1 if self.line else self.side) * self.side * self.weights


@dataclasses.dataclass(frozen=True)
class ConvStage:
    """Blocks of 3x3 convolutions, of 1x3 along a line, each with batch normalization and ReLU.

    Attributes:
      blocks: "residual" (two convolutions and a shortcut, which is a 1x1 convolution where the
        width or the side changes; ReLU behind the sum) or "separable" (depthwise, then 1x1).
      width: channels of its output.
      depth: number of blocks.
      stride: of the first block, 1..4; the side of its input must be divisible by it.
      batch_norm: false where it is folded into the convolutions, which then have biases.
      weight_bits: of each block's convolutions once quantized, 8 or 4, depthwise ones left out,
        which have 8; empty means 8 everywhere (docs/weight_bits.md).
    """

    blocks: str
    width: int
    depth: int = 1
    stride: int = 1
    batch_norm: bool = later(True)
    weight_bits: tuple[int, ...] = later(())

    of_tokens: ClassVar[bool] = False
    beside_blocks: ClassVar[str] = ""

    def validate(self, field: str, source: StageGrid, attention: str) -> None:
        """Raises `ArchError` if a field is wrong, or the stage cannot follow `source`."""
        del attention
        check_choice(f"{field}.blocks", self.blocks, CONV_BLOCKS)
        check_int(f"{field}.width", self.width, 1, 4096)
        check_int(f"{field}.depth", self.depth, 1, 256)
        _check_stride(f"{field}.stride", self.stride, source.side)
        if not isinstance(self.batch_norm, bool):
            fail(f"{field}.batch_norm", self.batch_norm, "true or false")
        check_weight_bits(f"{field}.weight_bits", self.weight_bits, self.depth)

    def output(self, source: StageGrid) -> StageGrid:
        return StageGrid(source.side // self.stride, self.width, source.line)

    def transformer_blocks(self, source: StageGrid) -> tuple[TransformerBlock, ...]:
        """None."""
        del source
        return ()

    def without_batch_norm(self) -> ConvStage:
        """Where it is folded into the convolutions."""
        return dataclasses.replace(self, batch_norm=False)

    def convolutions(self, source: StageGrid) -> tuple[tuple[Convolution, ...], ...]:
        """Those of each block, in order of execution."""
        found, side = [], self.output(source).side
        for block in range(self.depth):
            stride = 1 if block else self.stride
            inputs = self.width if block else source.width
            bits = self.weight_bits[block] if self.weight_bits else 8
            layers = _CONVOLUTIONS[self.blocks](stride, inputs, self.width, side)
            found.append(
                tuple(
                    dataclasses.replace(
                        each,
                        batch_norm=self.batch_norm,
                        weight_bits=8 if each.depthwise else bits,
                        line=source.line,
                    )
                    for each in layers
                )
            )
        return tuple(found)

    def params(self, source: StageGrid, packed: bool) -> int:
        """Trainable parameters."""
        del packed
        return sum(c.params for block in self.convolutions(source) for c in block)

    def macs(self, source: StageGrid, packed: bool) -> int:
        """Multiply-accumulates of one inference."""
        del packed
        return sum(c.macs for block in self.convolutions(source) for c in block)


def _residual(stride: int, inputs: int, outputs: int, side: int) -> tuple[Convolution, ...]:
    short = Convolution("short", 1, stride, inputs, outputs, side)
    return (
        *((short,) if stride != 1 or inputs != outputs else ()),
        Convolution("a", KERNEL, stride, inputs, outputs, side),
        Convolution("b", KERNEL, 1, outputs, outputs, side),
    )


def _separable(stride: int, inputs: int, outputs: int, side: int) -> tuple[Convolution, ...]:
    return (
        Convolution("depth", KERNEL, stride, inputs, inputs, side, depthwise=True),
        Convolution("point", 1, 1, inputs, outputs, side),
    )


_CONVOLUTIONS = {"residual": _residual, "separable": _separable}


@dataclasses.dataclass(frozen=True)
class AttentionStage:
    """Transformer blocks on the tokens of a grid.

    Attributes:
      width: of a token.
      heads: attention heads of each block; its length is the depth.
      mlp_ratio: hidden width of each block's MLP over `width`; width * ratio is an integer.
      head_dim: width of a head; that of q, of k and of v is heads * head_dim, whatever `width`.
      down: how the tokens come from what is before: "none" (they are its pixels, of the same width
        and side), "patch" (a convolution of `stride` x `stride` patches), "conv" (a 3x3
        convolution) or "merge" (the channels of stride x stride neighbours side by side, normed,
        then a linear layer without bias).
      stride: of `down`, 1..64; the side of its input must be divisible by it.
      position: learned positions are added to the tokens.
      ranks: low ranks of each block; empty means that all layers are dense.
      norm: the tokens are normed before the first block (Swin, behind its patch embedding).
      window: side of the windows that tokens see each other in, a divisor of the grid's side and
        smaller; 0: all tokens see all.
      shift: in every second block the grid is rolled by half a window before it is cut.
      bias: Swin's relative position bias, a number for each head and distance.
      relative_position: largest distance of AutoFormer's relative keys and values; 0 for none.
      weight_bits: of each block's layers once quantized, 8 or 4; empty means 8 everywhere
        (docs/weight_bits.md).
    """

    blocks: ClassVar[str] = ATTENTION_BLOCKS
    of_tokens: ClassVar[bool] = True

    width: int
    heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    head_dim: int = 32
    down: str = "none"
    stride: int = 1
    position: bool = False
    ranks: tuple[BlockRanks, ...] = ()
    norm: bool = later(False)
    window: int = later(0)
    shift: bool = later(False)
    bias: bool = later(False)
    relative_position: int = later(0)
    weight_bits: tuple[int, ...] = later(())

    @classmethod
    def uniform(
        cls, *, width: int, depth: int, heads: int, mlp_ratio: float = 4.0, **fields: Any
    ) -> AttentionStage:
        """A stage whose blocks are all alike; `fields` are the other attributes."""
        check_int("depth", depth, 1, 256)
        return cls(width=width, heads=(heads,) * depth, mlp_ratio=(mlp_ratio,) * depth, **fields)

    # ---- validation ----------------------------------------------------------------------------

    def validate(self, field: str, source: StageGrid, attention: str) -> None:
        """Raises `ArchError` if a field is wrong, or the stage cannot follow `source`.

        Args:
          attention: the network's, see `ArchConfig`.
        """
        check_int(f"{field}.width", self.width, 1, 8192)
        check_int(f"{field}.head_dim", self.head_dim, 1, 1024)
        for name in ("position", "norm", "shift", "bias"):
            if not isinstance(getattr(self, name), bool):
                fail(f"{field}.{name}", getattr(self, name), "true or false")
        self._check_down(field, source)
        self._check_blocks(field)
        side = self.output(source).side
        self._check_places(field, side, attention)
        for i, ranks in enumerate(self.ranks):
            check_ranks(f"{field}.ranks[{i}]", ranks, self.block(i, side), attention)

    def _check_places(self, field: str, side: int, attention: str) -> None:
        check_int(f"{field}.window", self.window, 0, side)
        if self.window and (side % self.window or self.window == side):
            fail(
                f"{field}.window", self.window, f"a divisor of the side {side} below it, or 0 (all)"
            )
        if self.shift and self.window < 2:
            fail(f"{field}.shift", self.shift, f"false with window {self.window}")
        check_relative(f"{field}.relative_position", self.relative_position, attention)
        if self.relative_position and (self.window or self.bias):
            expected = "0 with windows or bias, which have Swin's relative position"
            fail(f"{field}.relative_position", self.relative_position, expected)
        if attention == "keras" and (self.window or self.bias):
            name = "window" if self.window else "bias"
            fail(f"{field}.{name}", getattr(self, name), 'none with attention="keras"')

    def _check_down(self, field: str, source: StageGrid) -> None:
        check_choice(f"{field}.down", self.down, DOWNSAMPLING)
        _check_stride(f"{field}.stride", self.stride, source.side, 64)
        if self.down == "none" and self.stride != 1:
            fail(f"{field}.stride", self.stride, '1 with down="none"; or name a way down')
        if self.down == "none" and self.width != source.width:
            fail(
                f"{field}.width",
                self.width,
                f'the {source.width} channels before it with down="none"; or name a way down',
            )

    def _check_blocks(self, field: str) -> None:
        if not isinstance(self.heads, tuple) or not self.heads:
            fail(f"{field}.heads", self.heads, "a non-empty tuple, one number of heads per block")
        for i, heads in enumerate(self.heads):
            check_int(f"{field}.heads[{i}]", heads, 1, 256)
        for name, least in (("mlp_ratio", self.depth), ("ranks", 0)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) not in (least, self.depth):
                fail(f"{field}.{name}", value, f"a tuple of {self.depth} (one per block)")
        for i, ratio in enumerate(self.mlp_ratio):
            check_ratio(f"{field}.mlp_ratio[{i}]", ratio, self.width)
        check_weight_bits(f"{field}.weight_bits", self.weight_bits, self.depth)

    # ---- derived -------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        return len(self.heads)

    def block(self, index: int, side: int) -> TransformerBlock:
        """A block on a grid of that side."""
        return TransformerBlock(
            self.width,
            self.heads[index],
            self.head_dim,
            round(self.width * self.mlp_ratio[index]),
            self.ranks[index] if self.ranks else BlockRanks(),
            Places(
                side,
                window=self.window,
                shift=self.window // 2 if self.shift and index % 2 else 0,
                bias=self.bias,
                relative=self.relative_position,
            ),
            self.weight_bits[index] if self.weight_bits else 8,
        )

    def transformer_blocks(self, source: StageGrid) -> tuple[TransformerBlock, ...]:
        """All blocks, in order."""
        side = self.output(source).side
        return tuple(self.block(b, side) for b in range(self.depth))

    def convolutions(self, source: StageGrid) -> tuple[tuple[Convolution, ...], ...]:
        """None in its blocks."""
        del source
        return ()

    def without_batch_norm(self) -> AttentionStage:
        """It has none."""
        return self

    @property
    def beside_blocks(self) -> str:
        """Layers that are no transformer block's, as text; "" for none."""
        if self.down == "none" and not self.norm:
            return ""
        return f"a stage with down={self.down!r}, norm={self.norm}"

    def output(self, source: StageGrid) -> StageGrid:
        return StageGrid(source.side // self.stride, self.width)

    def _down_weights(self, source: StageGrid) -> int:
        kernel = KERNEL if self.down == "conv" else self.stride
        return 0 if self.down == "none" else kernel**2 * source.width * self.width

    def params(self, source: StageGrid, packed: bool) -> int:
        """Trainable parameters."""
        side = self.output(source).side
        other = {"none": 0, "patch": self.width, "conv": self.width}
        other["merge"] = 2 * self.stride**2 * source.width  # the norm's
        blocks = sum(block.params(packed) for block in self.transformer_blocks(source))
        positions = side**2 * self.width if self.position else 0
        norm = 2 * self.width if self.norm else 0
        return self._down_weights(source) + other[self.down] + norm + positions + blocks

    def macs(self, source: StageGrid, packed: bool) -> int:
        """Multiply-accumulates of one inference: linear layers, Q.K^T and attention.V."""
        side = self.output(source).side
        blocks = sum(block.macs(packed) for block in self.transformer_blocks(source))
        return side**2 * self._down_weights(source) + blocks


Stage = ConvStage | AttentionStage


def _check_stride(field: str, stride: int, side: int, high: int = 4) -> None:
    check_int(field, stride, 1, high)
    if side % stride:
        fail(field, stride, f"a divisor of its input side {side}")
