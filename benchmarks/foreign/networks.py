# SPDX-License-Identifier: Apache-2.0
"""The foreign networks by name, and the int8 file that TensorFlow makes of one."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_vit.stderr import captured_stderr

NAMES: dict[str, tuple[str, ...]] = {
    "vision": (
        "mobilevit", "axes_and_groups", "mobilenet_v4", "poolformer", "fastvit", "eva", "siglip",
        "class_attention", "coatnet", "maxvit", "detr", "transunet",
    ),
    "sequences": (
        "kwt", "mask_input", "masked_text", "llama", "gemma", "gpt", "conformer",
        "keras_timeseries", "inverted", "perceiver", "gmlp", "external", "alibi",
    ),
}  # fmt: skip
ALL = tuple(name for names in NAMES.values() for name in names)
_CALIBRATION = 24  # inputs


def network(name: str, seed: int) -> Any:
    """The Keras network with weights of that seed, norms and biases among them."""
    import keras

    from benchmarks.foreign import sequences, vision

    keras.utils.set_random_seed(seed)
    model = getattr(vision if name in NAMES["vision"] else sequences, name)()
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy()
        if "seed" in weight.name:
            continue
        spread = float(np.std(value)) or 1.0
        moved = value + 0.1 * spread * rng.standard_normal(value.shape)
        weight.assign(np.maximum(moved, 0.1) if "variance" in weight.name else moved)
    return model


def samples(model: Any, rng: np.random.Generator) -> list[NDArray[Any]]:
    """One value for each input: noise, token ids, or a mask of ones with zeros at its end."""
    made: list[NDArray[Any]] = []
    for tensor in model.inputs:
        shape = (1, *tensor.shape[1:])
        if "int" in tensor.dtype:
            made.append(rng.integers(1, 50, shape).astype(np.int32))
        elif len(shape) == 2:
            made.append((np.arange(shape[1]) < rng.integers(8, shape[1])).astype(np.float32)[None])
        else:
            made.append(rng.standard_normal(shape).astype(np.float32))
    return made


def int8_file(model: Any, seed: int) -> bytes:
    """What `TFLiteConverter.from_keras_model` makes of it, int8 in and out."""
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: (
        {t.name: x for t, x in zip(model.inputs, samples(model, rng), strict=True)}
        if len(model.inputs) > 1
        else samples(model, rng)
        for _ in range(_CALIBRATION)
    )
    with captured_stderr(), contextlib.redirect_stdout(io.StringIO()):  # Keras prints all variables
        return bytes(converter.convert())
