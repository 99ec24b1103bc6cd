# SPDX-License-Identifier: Apache-2.0
"""Builtin convolutions, and layers that become one, as the kernels take them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.code_size import ModelCall
from converter.compile.errors import CompileError
from converter.compile.weights import stored_bytes
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.schedule import conv_schedule
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import Linear
from tflm_custom_ops.ops.layouts import KERNEL_OF, UNIT4, WeightLayout, is_small
from tflm_custom_ops.ops.scratch import even

CONVOLUTION, CONVOLUTION_STRUCT = "vit_conv_2d_on_stack", "VitConv2DParams"  # and vit_conv_2d
_UNIT_BITS = 4  # of UNIT4
_LARGEST_INPUT = 128  # magnitude
_LARGEST_WEIGHT = 127  # magnitude that the kernels' packing holds


@dataclasses.dataclass(frozen=True, eq=False)
class PackedConv2D:
    """VitConv2DParams."""

    window: p.Window
    input_zero_point: int
    linear: Linear
    shift: NDArray[np.int32]
    rows: int
    inputs: int
    channels: int


def _folded_bias(op: p.Conv2D) -> NDArray[np.int64]:
    """With the input's zero point in it, [channels]."""
    weights = op.weights.reshape(op.window.output_channels, -1).astype(np.int64)
    return np.asarray(op.bias.astype(np.int64) - op.input_zero_point * weights.sum(axis=1))


def _largest_sum(op: p.Conv2D) -> int:
    """Of bias and products with any inputs; its magnitude."""
    weights = op.weights.reshape(op.window.output_channels, -1).astype(np.int64)
    largest = np.abs(_folded_bias(op)) + _LARGEST_INPUT * np.abs(weights).sum(axis=1)
    return int(largest.max(initial=0))


def _has_16(op: p.Conv2D) -> bool:
    """Whether 16 times the sums are in 32 bits, and all factors below 1: vit_rescale_16 rounds."""
    return UNIT4 * _largest_sum(op) < 1 << 31 and int(op.shift.max(initial=0)) <= 0


def layout_of(op: p.Conv2D) -> WeightLayout:
    """How the kernels have a layer's weights; those for Helium have rows of as many bits."""
    return WeightLayout.QUADS4 if is_small(op.weights) and _has_16(op) else WeightLayout.PAIRS8


def convolution_call(name: str, layout: WeightLayout = WeightLayout.PAIRS8) -> ModelCall:
    """What a model calls for a convolution, or a layer that is one."""
    functions = (CONVOLUTION, KERNEL_OF[layout]) if layout in KERNEL_OF else (CONVOLUTION,)
    return ModelCall(name, functions, CONVOLUTION_STRUCT)


def packed(op: p.Conv2D, name: str, scratch_bytes: int) -> PackedConv2D:
    """A convolution as the kernel takes it.

    Weights of 4 bits, and the bias with them, are 16 times the numbers; sums of 8 bits become so by
    a shift. Multipliers are those of the numbers.

    Args:
      name: of the operator, for messages.
      scratch_bytes: at least STACK_BYTES.

    Raises:
      CompileError: sums that leave 32 bits.
    """
    if _largest_sum(op) >= 1 << 31:
        raise CompileError(f"{name}: the sums exceed 32 bits; quantize the network again")
    layout = layout_of(op)
    unit = UNIT4 if layout is WeightLayout.QUADS4 else 1
    weights = op.weights.reshape(op.window.output_channels, -1) * unit
    bias = (_folded_bias(op) * unit).astype(np.int32)
    linear = Linear(
        weights.astype(np.int8),
        bias,
        op.multiplier,
        shift=_UNIT_BITS if unit == 1 and _has_16(op) else 0,
        out_zero_point=op.output_zero_point,
        out_min=op.out_min,
        out_max=op.out_max,
        k_block=exact_k_block(weights.astype(np.int8), bias),
        layout=layout,
    )
    pixels = op.window.output_height * op.window.output_width
    cut = conv_schedule(weights.shape[1], len(weights), pixels, scratch_bytes)
    parts = (cut.rows, cut.inputs, cut.channels)
    return PackedConv2D(op.window, op.input_zero_point, linear, op.shift, *parts)


def convolution_constant_bytes(
    channels: int, features: int, layout: WeightLayout = WeightLayout.PAIRS8
) -> int:
    """What `packed` adds to the weights' image: weights; biases, multipliers, shifts."""
    groups = -(-channels // layout.channels)
    return stored_bytes(groups * even(features) * 2) + 3 * stored_bytes(4 * channels)


def _read_often(window: p.Window, weights: NDArray[np.int16]) -> tuple[p.Window, NDArray[np.int16]]:
    """The same layer with weights that the kernels' packing holds.

    A window of several places that are all the same pixel (a dilation of 0): a weight is the sum
    of its parts there. Two hold -128, three the 255 of weights with a far zero point.
    """
    parts, rest = [], weights
    while np.any(rest):
        parts.append(np.clip(rest, -_LARGEST_WEIGHT, _LARGEST_WEIGHT))
        rest = rest - parts[-1]
    places = dataclasses.replace(window, kernel_width=len(parts), dilation_x=0)
    return places, np.concatenate(parts, axis=2)


def as_convolution(op: p.FullyConnected) -> p.Conv2D:
    """A fully connected layer is a 1 x 1 convolution over a line of `rows` pixels."""
    window = p.Window(
        *(1, op.rows, op.in_features),
        *(1, op.rows, op.out_features),
        *(1, 1, 1, 1, 1, 1, 0, 0),
    )
    weights = op.weights.reshape(op.out_features, 1, 1, op.in_features)
    if np.abs(weights).max(initial=0) > _LARGEST_WEIGHT:
        window, weights = _read_often(window, weights)
    return p.Conv2D(
        window,
        op.input_zero_point,
        op.output_zero_point,
        op.out_min,
        op.out_max,
        weights,
        op.bias,
        op.multiplier,
        op.shift,
    )
