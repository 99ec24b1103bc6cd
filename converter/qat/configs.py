# SPDX-License-Identifier: Apache-2.0
"""What is rounded in training: TFMOT QuantizeConfigs that follow the fused operators.

A fused operator rounds fewer values than a plain graph does (docs/operators.md). Rounded are

* weights, symmetric in -127..127, or in -7..7 with 4 bits, with a scale for each output channel;
* the output of LayerNorm, of q, k and v, of the attention's context, of fc1, of GELU, of the first
  half of a low-rank pair, of the pooling and of the classifier: int8;
* the positions: int8 with one scale;
* of stages of convolutions: what goes into a sum, and behind each ReLU: int8;
* the residual stream: int8 or int16.

Not rounded are the scores and probabilities (uint16 exponentials, exact sums), the inside of
LayerNorm, and what the last projection of a block hands to the residual add.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.quantization.keras import quantizers
from tensorflow_model_optimization.python.core.quantization.keras.quantize_config import (
    QuantizeConfig,
)

from converter.weight_bits.rounding import SCALES
from tflm_custom_ops.ops.layouts import MAX4

_INTO_RESIDUAL = ("_proj", "_proj_b", "_fc2", "_fc2_b")
_INTO_SUM = ("_b_conv", "_short_conv")  # of residual convolutions: int8 on both sides of the sum
_STAGE = "stage"  # names of layers of a stage begin so
_WEIGHT_MAX = 127


@dataclasses.dataclass(frozen=True)
class Rounding:
    """What is rounded of one layer.

    Attributes:
      weights: attribute names of weights, rounded per output channel (last axis).
      constants: attribute names of weights that are added, rounded with one scale.
      output_bits: bits of the output; 0 leaves it alone.
      follow: whether the output's range follows the values while training.
      weight_bits: of the weights, 8 or 4.
    """

    weights: tuple[str, ...] = ()
    output_bits: int = 0
    follow: bool = True
    constants: tuple[str, ...] = ()
    weight_bits: int = 8


@dataclasses.dataclass(frozen=True)
class Scheme:
    """Choices for a whole network.

    Attributes:
      residual_bits: 8 or 16, of the residual stream.
      round_weights: False for export: the weights are rounded already, and the converter, which
        cannot read fake quantization per channel of a fully connected layer, finds their scales.
      follow: see `Rounding`.
      weight_bits: of convolutions and linear layers; depthwise ones have 8, as in a file.
      small_blocks, small_convolutions: numbers of the blocks, and beginnings of the names of
        convolutions, that alone have weights of 4 bits; none: all layers.
    """

    residual_bits: int = 8
    round_weights: bool = True
    follow: bool = True
    weight_bits: int = 8
    small_blocks: tuple[int, ...] = ()
    small_convolutions: tuple[str, ...] = ()

    def _bits(self, layer: str) -> int:
        """Of a layer's weights."""
        blocks = tuple(f"block{number}_" for number in self.small_blocks)
        blocks += tuple(f"{name}_" for name in self.small_convolutions)
        return self.weight_bits if not blocks or layer.startswith(blocks) else 8

    def rounding(self, layer: Any) -> Rounding | None:
        """What to round of a layer of the builder's; None for one that only moves values."""
        kind, name = type(layer).__name__, layer.name
        weights = ("kernel",) if self.round_weights else ()
        if kind == "Dense":
            bits = 0 if name.endswith(_INTO_RESIDUAL) else 8
            return Rounding(weights, bits, self.follow, weight_bits=self._bits(name))
        if kind == "Conv2D":  # patches go on to the positions, others to a sum or their ReLU
            bits = 8 if name.endswith(_INTO_SUM) else 0
            return Rounding(weights, bits, self.follow, weight_bits=self._bits(name))
        if kind == "DepthwiseConv2D":
            return Rounding(("depthwise_kernel",) if weights else (), 0, self.follow)
        if kind == "PositionEmbedding":
            constants = ("position",) if self.round_weights else ()
            # Behind a stage's convolutions the sum is a builtin operator, of int8.
            bits = 8 if name.startswith(_STAGE) else self.residual_bits
            return Rounding((), bits, self.follow, constants)
        if kind == "Add":
            # A stage's sum of convolutions is rounded behind its ReLU only.
            bits = 0 if name.startswith(_STAGE) else self.residual_bits
            return Rounding((), bits, self.follow) if bits else None
        if kind in _INT8:
            return Rounding((), 8, self.follow)
        return None


_INT8 = (
    "LayerNorm",
    "ScaledDotProduct",
    "Activation",
    "TokenPool",
    "ReLU",
    "GlobalAveragePooling2D",
)


class ChannelQuantizer(quantizers.Quantizer):  # type: ignore[misc]
    """Symmetric, with a scale per output channel, from the weights' own extremes.

    The channel is the last axis, of depthwise kernels (height, width, channels, 1) the third. With
    4 bits the scale is the share of the largest weight's with the least squared error, as
    `converter.weight_bits.rounding.fitted_scale` has it: large weights are cut off.

    The gradient passes straight through. What it returns is a fixed point: rounding it again, as
    the converter does, gives the same integers and scales. One weight of a channel is always the
    largest number, so that int8 weights, rounded to the nearest 4 bits, are these again.
    """

    def __init__(self, depthwise: bool = False, bits: int = 8) -> None:
        self.depthwise = depthwise
        self.bits = bits

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        return {}

    def __call__(self, inputs: Any, training: bool, weights: Any, **kwargs: Any) -> Any:
        axes = [0, 1, 3] if self.depthwise else list(range(len(inputs.shape) - 1))
        largest = tf.reduce_max(tf.abs(inputs), axis=axes, keepdims=True)
        if self.bits == 4:
            rounded = self._four_bits(inputs, tf.maximum(largest / MAX4, 1e-12), axes)
        else:
            scale = tf.maximum(largest / _WEIGHT_MAX, 1e-12)
            rounded = tf.round(inputs / scale) * scale
        return inputs + tf.stop_gradient(rounded - inputs)

    @staticmethod
    def _four_bits(inputs: Any, largest: Any, axes: list[int]) -> Any:
        """Numbers times scales; `largest` are those that cut nothing off."""
        shares = tf.constant(SCALES.astype(np.float32))
        scales = tf.reshape(shares, [-1, *(1 for _ in inputs.shape)]) * largest
        rounded = tf.clip_by_value(tf.round(inputs / scales), -MAX4, MAX4) * scales
        errors = tf.reduce_sum(tf.square(rounded - inputs), axis=[axis + 1 for axis in axes])
        scale = tf.reshape(tf.gather(shares, tf.argmin(errors, axis=0)), tf.shape(largest))
        scale *= largest
        return tf.clip_by_value(tf.round(inputs / scale), -MAX4, MAX4) * scale

    def get_config(self) -> dict[str, Any]:
        return {"depthwise": self.depthwise, "bits": self.bits}


class ConstantQuantizer(quantizers.Quantizer):  # type: ignore[misc]
    """int8 with one scale and a zero point, from the constant's own extremes."""

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        return {}

    def __call__(self, inputs: Any, training: bool, weights: Any, **kwargs: Any) -> Any:
        low = tf.minimum(tf.reduce_min(inputs), 0.0)
        high = tf.maximum(tf.reduce_max(inputs), 0.0)
        scale = tf.maximum((high - low) / 255.0, 1e-12)
        zero_point = tf.round(-128.0 - low / scale)
        q = tf.clip_by_value(tf.round(inputs / scale) + zero_point, -128.0, 127.0)
        return inputs + tf.stop_gradient((q - zero_point) * scale - inputs)

    def get_config(self) -> dict[str, Any]:
        return {}


class ActivationQuantizer(quantizers.MovingAverageQuantizer):  # type: ignore[misc]
    """TFMOT's moving average of a batch's extremes, or a range that stays where it was put."""

    def __init__(self, num_bits: int, follow: bool) -> None:
        super().__init__(num_bits=num_bits, per_axis=False, symmetric=False, narrow_range=False)
        self.follow = follow

    def __call__(self, inputs: Any, training: bool, weights: Any, **kwargs: Any) -> Any:
        return super().__call__(inputs, training and self.follow, weights, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"num_bits": self.num_bits, "follow": self.follow}


class FusedConfig(QuantizeConfig):  # type: ignore[misc]
    """A `Rounding` as TFMOT asks for it."""

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        weights = [
            (
                getattr(layer, name),
                ChannelQuantizer(name.startswith("depthwise"), self.rounding.weight_bits),
            )
            for name in self.rounding.weights
        ]
        return weights + [(getattr(layer, n), ConstantQuantizer()) for n in self.rounding.constants]

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        names = (*self.rounding.weights, *self.rounding.constants)
        for name, value in zip(names, quantize_weights, strict=True):
            setattr(layer, name, value)

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        bits = self.rounding.output_bits
        return [ActivationQuantizer(bits, self.rounding.follow)] if bits else []

    def get_config(self) -> dict[str, Any]:
        return {"rounding": dataclasses.asdict(self.rounding)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FusedConfig:
        return cls(Rounding(**config["rounding"]))
