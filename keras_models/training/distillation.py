# SPDX-License-Identifier: Apache-2.0
"""Imitation of a teacher: what it says of each augmented batch, and the loss that asks for it.

Hinton, Vinyals and Dean, 2015: cross entropy with the labels, and with the teacher's softened
probabilities, T^2 times, so that its share does not depend on the temperature T.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_models.training.batches import TrainBatches

Logits = Callable[[Any], Any]  # of float32 images (batch, h, w, c) in [-1, 1]


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a training step minimizes.

    Attributes:
      label_smoothing: of the labels.
      distill: share of the loss in which a network imitates the teacher, or a sub-network the
        step's first one (in-place distillation, Yu and Huang, ICCV 2019); 0 for labels only.
      temperature: of that imitation.
    """

    label_smoothing: float = 0.1
    distill: float = 0.0
    temperature: float = 1.0

    def __call__(self, logits: list[Any], labels: Any, teacher: Any = None) -> Any:
        """Mean loss of (sub-)networks on one batch; the first is the in-place teacher."""
        classes = labels.shape[-1]
        smooth = labels * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        total = 0.0
        for i, each in enumerate(logits):
            hard = _cross_entropy(smooth, each)
            target = teacher
            if target is None and i > 0:
                target = ops.stop_gradient(logits[0])
            if self.distill and target is not None:
                soft = ops.softmax(target / self.temperature)
                imitation = _cross_entropy(soft, each / self.temperature) * self.temperature**2
                hard = (1.0 - self.distill) * hard + self.distill * imitation
            total = total + hard
        return total / len(logits)


def _cross_entropy(targets: Any, logits: Any) -> Any:
    return -ops.mean(ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1))


class TaughtBatches(TrainBatches):
    """Training batches whose targets are labels and, behind them, the teacher's logits."""

    teacher: Logits

    def __getitem__(self, index: int) -> Any:
        images, targets = super().__getitem__(index)
        return images, np.concatenate([targets, self.teacher(images)], axis=-1)


def taught_loss(objective: Objective, classes: int) -> Any:
    """The objective for `Model.compile`: targets with or without a teacher's logits behind them."""

    def loss(targets: Any, logits: Any) -> Any:
        teacher = targets[:, classes:] if targets.shape[-1] > classes else None
        return objective([logits], targets[:, :classes], teacher)

    return loss


def taught_accuracy(classes: int) -> Any:
    """Top-1 accuracy for `Model.compile`, for the same targets."""

    def right(targets: Any, logits: Any) -> Any:
        same = ops.argmax(targets[:, :classes], -1) == ops.argmax(logits, -1)
        return ops.cast(same, "float32")

    return keras.metrics.MeanMetricWrapper(right, name="accuracy")
