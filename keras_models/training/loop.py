# SPDX-License-Identifier: Apache-2.0
"""A training from where it stands to its end: epochs, validation, checkpoints, averaged weights."""

from __future__ import annotations

import os
import sys
from typing import Any

import keras

from keras_models.datasets import Dataset
from keras_models.tasks import CLASSIFICATION, Task
from keras_models.training import callbacks
from keras_models.training.batches import EvalBatches, TrainBatches
from keras_models.training.checkpoint import CHECKPOINT_FILE, Progress
from keras_models.training.recipe import Recipe

_EVALUATED_AT_ONCE = 256


def _optional(recipe: Recipe, folder: str) -> list[Any]:
    """What a recipe asks for, and what this machine has."""
    used: list[Any] = []
    if recipe.ema_momentum:
        # Swaps the averages in for each validation.
        used.append(keras.callbacks.SwapEMAWeights())
    try:
        used.append(callbacks.TensorBoardScalars(os.path.join(folder, "tensorboard")))
    except ImportError as error:
        print(f"no TensorBoard log: {error}", file=sys.stderr)
    return used


def train_to_the_end(
    model: Any,
    batches: TrainBatches,
    data: Dataset,
    recipe: Recipe,
    start: Progress,
    folder: str,
    seed: int,
    checkpoint_every: int = 1,
    task: Task = CLASSIFICATION,
) -> Progress:
    """Trains a compiled model; leaves the averaged weights in it, if the recipe averages.

    Args:
      model: compiled; of a training that goes on it holds what the checkpoint held.
      batches: training images.
      data: its validation split watches.
      start: how far the training is.
      folder: for the checkpoint and the log.
      seed: of the epochs.
      checkpoint_every: epochs.
      task: what it is trained for.

    Returns:
      The progress at the end.
    """
    batches.start_epoch(start.epochs_done)
    checkpoints = callbacks.Checkpoints(
        os.path.join(folder, CHECKPOINT_FILE), start, recipe.epochs, checkpoint_every
    )
    used = [
        callbacks.EpochSeeds(seed),
        callbacks.ProgressBar(recipe.epochs, len(batches), start.epochs_done),
        checkpoints,
        *_optional(recipe, folder),
    ]
    if start.epochs_done < recipe.epochs:
        model.fit(
            batches,
            validation_data=EvalBatches(
                data.validation,
                task,
                tuple(model.output_shape[1:]),
                tuple(tuple(x.shape[1:]) for x in model.inputs),
                _EVALUATED_AT_ONCE,
            ),
            initial_epoch=start.epochs_done,
            epochs=recipe.epochs,
            callbacks=used,
            verbose=0,
            shuffle=False,
        )
    if model.optimizer.use_ema:
        # From the optimizer's variables, which a checkpoint holds: a training that was killed after
        # its last epoch, and goes on with none left to do, ends with the same weights.
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return checkpoints.progress
