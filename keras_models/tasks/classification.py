# SPDX-License-Identifier: Apache-2.0
"""Which of some classes an image is of."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_models.tasks.accuracy import classification, same_class
from keras_models.tasks.task import Reals, Shape, Targets, Task


def _wanted(labels: Targets, shape: Shape) -> Reals:
    return np.eye(shape[-1], dtype=np.float32)[labels]


def cross_entropy(label_smoothing: float) -> Any:
    """Of logits with a one in the place of the right class."""
    import keras

    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


def _watched() -> Any:
    import keras

    return keras.metrics.CategoricalAccuracy(name="accuracy")


CLASSIFICATION = Task(
    name="classification",
    does="Which of some classes an image is of.",
    datasets=("digits", "fractals", "image_folder", "cifar10", "imagenet2012"),
    dense=False,
    meaning="logit of each class",
    figure="accuracy",
    wanted=_wanted,
    loss=cross_entropy,
    watched=_watched,
    scores=classification,
    agreement=same_class,
)
