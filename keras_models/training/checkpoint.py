# SPDX-License-Identifier: Apache-2.0
"""One file that holds everything a training needs to go on: weights, optimizer, epoch, history.

A single `.npz`, written beside and moved into place, so that a kill at any moment leaves the last
complete checkpoint. It does not depend on the Keras backend: a training may move between machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from tflm_vit.files import checked_archive, parse_json, reading

CHECKPOINT_FILE = "checkpoint.npz"


class CheckpointError(ValueError):
    """A checkpoint cannot be read or belongs to another training; the message says."""


class DivergedError(ValueError):
    """A training whose figures are no numbers any more: nothing that follows can be of use."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """What is known between two epochs.

    Raises:
      DivergedError: a figure of the last epoch is not finite.

    Attributes:
      epochs_done: complete epochs.
      seconds: training time so far, over all runs.
      history: one dict of metrics per epoch.
      setup: JSON text of architecture, recipe, data set and seed; must match to go on.
    """

    epochs_done: int
    seconds: float
    history: list[dict[str, float]]
    setup: str

    def __post_init__(self) -> None:
        last = self.history[-1] if self.history else {}
        odd = [f"{k} {v}" for k, v in last.items() if not math.isfinite(v)]
        if odd:
            raise DivergedError(
                f"the training diverged in epoch {self.epochs_done}: got {', '.join(odd)}; begin "
                "again with a smaller learning rate"
            )


def _arrays(prefix: str, variables: Any) -> dict[str, Any]:
    return {f"{prefix}{i}": np.asarray(v) for i, v in enumerate(variables)}


def save_checkpoint(path: str, model: Any, progress: Progress) -> None:
    """Writes the checkpoint; the old one stays until the new one is complete.

    Raises:
      OSError: with the name of the file.
    """
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez(
                file,
                progress=np.asarray(json.dumps(dataclasses.asdict(progress))),
                **_arrays("weight", model.weights),
                **_arrays("optimizer", model.optimizer.variables),
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise OSError(error.errno, error.strerror, path) from error


def read_progress(path: str) -> Progress:
    """The checkpoint's description, without touching a model."""
    with reading(path, "a checkpoint", CheckpointError), np.load(checked_archive(path)) as data:
        found = Progress(**parse_json(str(data["progress"])))
        if not isinstance(found.epochs_done, int) or not isinstance(found.history, list):
            raise ValueError("its progress is none of a training")
        return found


def restore_checkpoint(path: str, model: Any) -> Progress:
    """Fills a compiled model and its optimizer from the checkpoint.

    Raises:
      CheckpointError: unreadable, or of a network of another shape.
    """
    progress = read_progress(path)
    model.optimizer.build(model.trainable_variables)
    with reading(path, "a checkpoint", CheckpointError), np.load(checked_archive(path)) as data:
        for prefix, variables in (
            ("weight", model.weights),
            ("optimizer", model.optimizer.variables),
        ):
            stored = sum(1 for key in data.files if key.startswith(prefix))
            if stored != len(variables):
                raise CheckpointError(f"{path}: {stored} {prefix}s, expected {len(variables)}")
            for i, variable in enumerate(variables):
                value = data[f"{prefix}{i}"]
                if value.shape != tuple(variable.shape):
                    raise CheckpointError(
                        f"{path}: {prefix} {i} is {value.shape}, expected {tuple(variable.shape)}"
                    )
                variable.assign(value)
    return progress
