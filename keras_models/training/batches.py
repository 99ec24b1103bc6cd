# SPDX-License-Identifier: Apache-2.0
"""Feeds splits to `Model.fit` as `keras.utils.PyDataset`s: NumPy in, no tf.data."""

from __future__ import annotations

import keras
import numpy as np

from keras_models.datasets.core import Indices, Split
from keras_models.questions.examples import fed
from keras_models.tasks import Task
from keras_models.tasks.task import Shape
from keras_models.training.augmentation.geometry import mirror
from keras_models.training.making import Batch, BatchMaker
from keras_models.training.recipe import Recipe
from keras_models.training.workers import BatchWorkers


class TrainBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, augmented, normalized batches (float32 images in [-1, 1], soft labels) of one epoch
    after another.

    Args:
      workers: processes that make them; 0: this one, when it is asked.
    """

    def __init__(
        self, split: Split, classes: int, recipe: Recipe, seed: int, epoch: int, workers: int = 0
    ) -> None:
        super().__init__(workers=1)
        self.maker = BatchMaker(split, classes, recipe, seed)
        self._processes = BatchWorkers(self.maker, workers) if workers else None
        self.start_epoch(epoch)

    @property
    def split(self) -> Split:
        return self.maker.split

    @property
    def classes(self) -> int:
        return self.maker.classes

    @property
    def batch_size(self) -> int:
        return self.maker.batch_size

    @property
    def seed(self) -> int:
        return self.maker.seed

    @property
    def order(self) -> Indices:
        """Of the epoch's images."""
        return self.maker.order(self.epoch)

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self) -> None:
        self.start_epoch(self.epoch + 1)

    def __len__(self) -> int:
        return len(self.maker)

    def __getitem__(self, index: int) -> Batch:
        made = self.maker.make if self._processes is None else self._processes.get
        return made(self.epoch, index)

    def close(self) -> None:
        """Ends the workers."""
        if self._processes is not None:
            self._processes.close()


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
