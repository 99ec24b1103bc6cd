# SPDX-License-Identifier: Apache-2.0
"""The tf_keras twin that is trained, and the one that is exported."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.evaluate.evaluation import ModelEnds
from converter.qat.fold import Folded
from converter.quantize.calibration import Histogram, RangeChoice
from keras_models.staged import Architecture
from keras_models.vit import build_vit, weight_name

Floats = NDArray[np.float32]
PREFIX = "quant_"
_CHUNK = 16  # images at a time while ranges are initialised


class QatError(ValueError):
    """Quantization-aware training cannot start; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class LayerRange:
    """Range of one layer's output, in real numbers, low <= 0 <= high.

    Attributes:
      layer: name of the layer in the builder.
      bits: in training.
    """

    layer: str
    bits: int
    low: float
    high: float

    def int8(self) -> tuple[float, int]:
        """(scale, zero point) that the TFLite quantizer makes of the range."""
        scale = (self.high - self.low) / 255.0
        zero_point = -128 - self.low / scale  # rounded as C does: a tie goes away from zero
        zero_point = np.trunc(zero_point + np.copysign(0.5, zero_point))
        # A file holds float32; an image's bytes are ties, which the last bit decides.
        return float(np.float32(scale)), int(np.clip(zero_point, -128, 127))


@dataclasses.dataclass(frozen=True)
class InputRounding:
    """The network's int8 input: what the application's quantization leaves of an image."""

    ends: ModelEnds

    @classmethod
    def of(cls, images: Floats) -> InputRounding:
        """As the converter chooses it for these calibration images."""
        low, high = min(float(images.min()), 0.0), max(float(images.max()), 0.0)
        scale, zero_point = LayerRange("image", 8, low, high).int8()
        return cls(ModelEnds(images.shape[1:], scale, zero_point, 1.0, 0, output_shape=()))

    def __call__(self, images: Floats) -> Floats:
        q = self.ends.quantize(images).astype(np.float64)
        rounded: Floats = (self.ends.input_scale * (q - self.ends.input_zero_point)).astype(
            np.float32
        )
        return rounded


def float_twin(folded: Folded) -> Any:
    """The folded network in tf_keras, float."""
    import tf_keras

    model = build_vit(folded.arch, tf_keras)
    set_weights(model, folded.weights)
    return model


def set_weights(model: Any, values: dict[str, Floats]) -> None:
    """Assigns weights by layer/weight name; every weight of the model must be there."""
    for variable in model.weights:
        variable.assign(values[weight_name(variable)])


def quantized_twin(arch: Architecture, scheme: Any) -> Any:
    """The network with rounding as `converter.qat.configs.Scheme` says; weights not set."""
    import tf_keras
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import (
        QuantizeWrapperV2,
    )

    from converter.qat.configs import FusedConfig

    def wrapped(layer: Any) -> Any:
        copy = type(layer).from_config(layer.get_config())
        rounding = scheme.rounding(layer)
        if type(layer).__name__ == "LayerNorm":
            copy.trainable = False  # gamma and beta are folded
        if rounding is None:
            return copy
        return QuantizeWrapperV2(copy, FusedConfig(rounding), name_prefix=PREFIX)

    model = build_vit(arch, tf_keras)
    return tf_keras.models.clone_model(model, clone_function=wrapped)


def _wrappers(model: Any) -> dict[str, Any]:
    """Wrapped layers by the name of the layer inside."""
    return {
        layer.name.removeprefix(PREFIX): layer
        for layer in model.layers
        if layer.name.startswith(PREFIX)
    }


def set_float_weights(model: Any, values: dict[str, Floats]) -> None:
    """Fills a quantized twin's own weights, as they are before rounding."""
    for key, variable in _own_weights(model).items():
        variable.assign(values[key])


def float_weights(model: Any) -> dict[str, Floats]:
    """layer/weight -> value before rounding."""
    return {key: np.asarray(variable) for key, variable in _own_weights(model).items()}


def _own_weights(model: Any) -> dict[str, Any]:
    """The weights that the float network has too, by layer/weight."""
    found = {}
    for layer in model.layers:
        name = layer.name.removeprefix(PREFIX)
        for variable in layer.weights:
            last = weight_name(variable).split("/")[-1]
            if last in _WEIGHTS:
                found[f"{name}/{last}"] = variable
    return found


_WEIGHTS = frozenset({"kernel", "bias", "gamma", "beta", "position", "cls"})


def rounded_weights(model: Any) -> dict[str, Floats]:
    """layer/weight -> value as the network computes with it."""
    values = float_weights(model)
    for name, wrapper in _wrappers(model).items():
        for variable, quantizer, _ in wrapper._weight_vars:
            key = f"{name}/{weight_name(variable).split('/')[-1]}"
            values[key] = np.asarray(quantizer(variable, training=False, weights={}))
    return values


def layer_ranges(model: Any) -> tuple[LayerRange, ...]:
    """Ranges of all rounded outputs, in the network's order."""
    result = []
    for name, wrapper in _wrappers(model).items():
        bits = wrapper.quantize_config.rounding.output_bits
        if bits:
            pair = wrapper._output_quantizer_vars
            low, high = float(pair["min_var"].numpy()), float(pair["max_var"].numpy())
            result.append(LayerRange(name, bits, low, high))
    return tuple(result)


def set_ranges(model: Any, ranges: tuple[LayerRange, ...]) -> None:
    """Sets the ranges of all rounded outputs."""
    wrappers = _wrappers(model)
    for entry in ranges:
        pair = wrappers[entry.layer]._output_quantizer_vars
        pair["min_var"].assign(entry.low)
        pair["max_var"].assign(entry.high)


def initial_ranges(
    twin: Any, model: Any, images: Floats, choice: RangeChoice
) -> tuple[LayerRange, ...]:
    """Ranges of the float network's outputs, chosen as in post-training quantization.

    Raises:
      QatError: a layer's output is constant on these images.
    """
    import tf_keras

    entries = layer_ranges(model)
    probe = tf_keras.Model(twin.input, [twin.get_layer(e.layer).output for e in entries])
    chunks = [images[i : i + _CHUNK] for i in range(0, len(images), _CHUNK)]
    low = np.full(len(entries), np.inf)
    high = np.full(len(entries), -np.inf)
    for chunk in chunks:
        outputs = probe(chunk, training=False)
        low = np.minimum(low, [float(np.min(y)) for y in outputs])
        high = np.maximum(high, [float(np.max(y)) for y in outputs])
    flat = [e.layer for e, a, b in zip(entries, low, high, strict=True) if not a < b]
    if flat:
        raise QatError(
            f"layer {flat[0]!r} gives the same value for every calibration image; give other "
            "images, or a network that is trained"
        )
    histograms = [Histogram.empty(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    if choice.method != "minmax":
        for chunk in chunks:
            for histogram, y in zip(histograms, probe(chunk, training=False), strict=True):
                histogram.add(np.asarray(y))
    result = []
    for entry, histogram in zip(entries, histograms, strict=True):
        # The residual stream keeps its extremes, as in converter.quantize.calibration.
        kind = type(twin.get_layer(entry.layer)).__name__
        keep = kind in ("Add", "PositionEmbedding") or entry.layer == "head"
        a, b = (RangeChoice() if keep else choice).range_of(histogram)
        result.append(dataclasses.replace(entry, low=a, high=b))
    return tuple(result)


def export_twin(model: Any, arch: Architecture) -> Any:
    """The network to convert: rounded weights, every rounded output as int8 with its range."""
    from converter.qat.configs import Scheme

    twin = quantized_twin(arch, Scheme(residual_bits=8, round_weights=False, follow=False))
    set_float_weights(twin, rounded_weights(model))
    set_ranges(twin, layer_ranges(model))
    return twin
