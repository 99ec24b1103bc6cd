# SPDX-License-Identifier: Apache-2.0
"""Begin and end of a training: its folder is written file by file, and a kill in between shows.

While the files of the result take the places of older ones, the checkpoint is there and the record
(train.json) is not: `keras_models.load` refuses such a folder, and --resume completes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from keras_models.load import ARCH_FILE, TRAIN_FILE, WEIGHTS_FILE, Network
from keras_models.training.checkpoint import CHECKPOINT_FILE, CheckpointError
from keras_models.training.setup import setup_digest
from tflm_vit.files import FileError, expect_writable_folder, read_json, reading, write_json
from tflm_vit.folders import output_folder

SETUP = "setup"  # of the record


def expect_none_unfinished(folder: str, allowed: bool) -> None:
    """Refuses to lose an unfinished training; changes nothing yet.

    Args:
      allowed: --resume or --overwrite was given.

    Raises:
      CheckpointError: one is in the folder. OSError: the folder cannot be written.
    """
    expect_writable_folder(folder)
    path = os.path.join(folder, CHECKPOINT_FILE)
    if os.path.exists(path) and not allowed:
        raise CheckpointError(
            f"{path} exists: give --resume to go on with that training, --overwrite to start again"
        )


@contextlib.contextmanager
def begun(folder: str, discard: bool) -> Iterator[None]:
    """With the folder, from which an unfinished training is discarded that is not gone on with."""
    with output_folder(folder):
        if discard:
            _remove(os.path.join(folder, CHECKPOINT_FILE))
        yield


def begin_result(folder: str) -> None:
    """Before the first file of a result: the record of an older training goes."""
    _remove(os.path.join(folder, TRAIN_FILE))


def end_result(folder: str, report: dict[str, Any]) -> None:
    """After the last one: the record, and the checkpoint is not needed any more."""
    write_json(os.path.join(folder, TRAIN_FILE), report)
    _remove(os.path.join(folder, CHECKPOINT_FILE))


def write_trained(folder: str, network: Network, model: Any, report: dict[str, Any]) -> None:
    """Writes a trained directory.

    Args:
      model: with the weights.
      report: what train.json holds.
    """
    begin_result(folder)
    network.save(os.path.join(folder, ARCH_FILE))
    temporary = os.path.join(folder, f"tmp.{WEIGHTS_FILE}")  # Keras insists on the ending
    model.save_weights(temporary)
    os.replace(temporary, os.path.join(folder, WEIGHTS_FILE))
    end_result(folder, report)


def finished_report(folder: str, setup: str) -> dict[str, Any] | None:
    """The record of this very training where it has ended, so that a resume does not repeat it.

    Args:
      setup: of `setup_text`.

    Raises:
      FileError: a train.json that is none.
    """
    path = os.path.join(folder, TRAIN_FILE)
    if os.path.exists(os.path.join(folder, CHECKPOINT_FILE)) or not os.path.exists(path):
        return None
    report = read_json(path, "a record of a training", FileError)
    if not isinstance(report, dict) or report.get(SETUP) != setup_digest(setup):
        return None
    return report


@contextlib.contextmanager
def showing(folder: str) -> Iterator[None]:
    """Around what is made of a report's figures: those of a training that has ended are read.

    Raises:
      FileError: figures are missing, or no numbers.
    """
    with reading(os.path.join(folder, TRAIN_FILE), "a record of a training"):
        yield


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
