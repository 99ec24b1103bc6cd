# SPDX-License-Identifier: Apache-2.0
"""Callbacks: progress bar, TensorBoard, checkpoints, per-epoch seeds."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_models.training.checkpoint import Progress, save_checkpoint

Logs = dict[str, float] | None


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """One bar over all steps of the training, with the last metrics."""

    def __init__(self, epochs: int, steps: int, first_epoch: int) -> None:
        super().__init__()
        self.bar = tqdm(total=epochs * steps, initial=first_epoch * steps, unit="step")
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.bar.update(1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        shown = {key: f"{value:.4f}" for key, value in (logs or {}).items()}
        self.bar.set_postfix(shown, refresh=False)

    def on_train_end(self, logs: Logs = None) -> None:
        self.bar.close()


class TensorBoardScalars(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes each epoch's metrics for TensorBoard.

    Keras' own callback needs TensorFlow on every backend; the event writer of the `tensorboard`
    package does not.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = Event
        self._summary = Summary
        self._writer = EventFileWriter(directory)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        values = [
            self._summary.Value(tag=tag, simple_value=float(value))
            for tag, value in (logs or {}).items()
        ]
        self._writer.add_event(
            self._event(wall_time=time.time(), step=epoch + 1, summary=self._summary(value=values))
        )
        self._writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._writer.close()


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves everything after each `every`-th epoch, and after the last."""

    def __init__(self, path: str, start: Progress, epochs: int, every: int) -> None:
        super().__init__()
        self.path = path
        self.progress = start
        self.epochs = epochs
        self.every = every
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        now = time.monotonic()
        before = self.progress
        self.progress = Progress(
            epochs_done=epoch + 1,
            seconds=before.seconds + now - self.started,
            history=[*before.history, {k: float(v) for k, v in (logs or {}).items()}],
            setup=before.setup,
        )
        self.started = now
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs:
            save_checkpoint(self.path, self.model, self.progress)


class EpochSeeds(keras.callbacks.Callback):  # type: ignore[misc]
    """Seeds drop path by epoch, so that a resumed training equals an uninterrupted one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        _reseed(self.model, self.seed + 1, epoch)


def _reseed(model: Any, seed: int, epoch: int) -> None:
    """Starts every random generator of the layers afresh for an epoch."""
    for position, each in enumerate(model._flatten_layers()):
        for name in ("generator", "seed_generator"):
            generator = getattr(each, name, None)
            if generator is not None:
                state = np.random.SeedSequence((seed, epoch, position)).generate_state(2)
                generator.state.assign(state.astype("uint32"))
