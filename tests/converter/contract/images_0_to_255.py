# SPDX-License-Identifier: Apache-2.0
"""A small Keras network that takes bytes as they are, as `keras.layers.Rescaling`-free scripts and
most published examples do: input scale 1, zero point -128 after quantization."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, CLASSES = 8, 10


@functools.cache
def trained() -> tuple[Any, float]:
    """(the network, its accuracy on the digits' test split)."""
    import keras

    from keras_models.datasets import load_dataset

    data = load_dataset("digits", image_size=SIDE, channels=1)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), batch_size=1),
            keras.layers.Reshape((SIDE * SIDE,)),
            keras.layers.Dense(CLASSES),
        ]
    )
    images, labels = data.train.load(slice(None))
    x = images.astype(np.float32).reshape(len(images), -1)
    # Least squares on the bytes themselves: no training loop is needed for a linear network.
    targets = np.eye(CLASSES, dtype=np.float64)[labels]
    design = np.concatenate([x.astype(np.float64), np.ones((len(x), 1))], axis=1)
    solution = np.linalg.lstsq(design, targets, rcond=None)[0]
    model.layers[-1].set_weights([solution[:-1].astype(np.float32), solution[-1].astype("f4")])
    test, truth = data.test.load(slice(None))
    logits = test.reshape(len(test), -1).astype(np.float64) @ solution[:-1] + solution[-1]
    return model, float((logits.argmax(-1) == truth).mean())


def int8_file() -> bytes:
    """The plain int8 `.tflite` as a user's script makes it: no metadata."""
    import tensorflow as tf

    from keras_models.datasets import load_dataset

    images: NDArray[np.uint8]
    images, _ = load_dataset("digits", image_size=SIDE, channels=1).train.load(slice(0, 200))
    converter = tf.lite.TFLiteConverter.from_keras_model(trained()[0])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([i[None].astype(np.float32)] for i in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())
