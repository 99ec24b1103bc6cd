# SPDX-License-Identifier: Apache-2.0
"""Feeds splits to `Model.fit` as `keras.utils.PyDataset`s: NumPy in, no tf.data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_models.datasets.core import Labels, Split
from keras_models.questions.examples import fed
from keras_models.tasks import Task
from keras_models.tasks.task import Shape
from keras_models.training.augmentation import Augment
from keras_models.training.augmentation.geometry import mirror
from keras_models.training.recipe import Recipe

Batch = tuple[Any, np.ndarray[Any, Any]]  # inputs: an array, or two


def one_hot(labels: Labels, classes: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.eye(classes, dtype=np.float32)[labels]


class TrainBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, augmented, normalized batches (float32 images in [-1, 1], soft labels).

    The order of an epoch depends on the seed and the epoch's number only, a batch's augmentation on
    its number besides.
    """

    def __init__(self, split: Split, classes: int, recipe: Recipe, seed: int, epoch: int) -> None:
        super().__init__(workers=1)
        self.split = split
        self.classes = classes
        self.batch_size = min(recipe.batch_size, len(split))
        self.seed = seed
        self.augment = Augment(recipe, seed)
        self.start_epoch(epoch)

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        self.order = rng.permutation(len(self.split))

    def on_epoch_end(self) -> None:
        self.start_epoch(self.epoch + 1)

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        start = index * self.batch_size
        images, labels = self.split.load(self.order[start : start + self.batch_size])
        targets = one_hot(labels, self.classes)
        augmented, targets = self.augment(images, targets, self.epoch, index)
        return self.split.normalization.apply(augmented), targets


class TaskBatches(TrainBatches):
    """The same with targets that are no labels: maps, for which image and targets are mirrored
    together, or answers to questions.

    A recipe of such a task has no other augmentation (`expect_task`).

    Args:
      shape: of one output.
      inputs: shapes of the network's inputs.
    """

    def __init__(
        self,
        split: Split,
        task: Task,
        shape: Shape,
        inputs: tuple[Shape, ...],
        recipe: Recipe,
        seed: int,
        epoch: int,
    ) -> None:
        super().__init__(split, shape[-1], recipe, seed, epoch)
        self.task = task
        self.shape = shape
        self.inputs = inputs
        self.flip = recipe.flip

    def __getitem__(self, index: int) -> Batch:
        start = index * self.batch_size
        images, targets = self.split.load(self.order[start : start + self.batch_size])
        if self.flip:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            chosen = rng.random(len(images)) < 0.5
            images, targets = mirror(images, chosen), targets.copy()
            targets[chosen] = self.task.mirrored(targets[chosen])
        inputs = fed(self.split.normalization.apply(images), self.inputs)
        return inputs, self.task.wanted(targets, self.shape)


class EvalBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """A whole split in order, normalized, with what the task's loss compares with."""

    def __init__(
        self, split: Split, task: Task, shape: Shape, inputs: tuple[Shape, ...], batch_size: int
    ) -> None:
        super().__init__(workers=1)
        self.split = split
        self.task = task
        self.shape = shape
        self.inputs = inputs
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        start = index * self.batch_size
        images, labels = self.split.load(slice(start, start + self.batch_size))
        inputs = fed(self.split.normalization.apply(images), self.inputs)
        return inputs, self.task.wanted(labels, self.shape)
