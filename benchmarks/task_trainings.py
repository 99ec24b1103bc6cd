# SPDX-License-Identifier: Apache-2.0
"""How a network of a task was trained, with the trainings whose weights it began from."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any

from keras_models.load import TRAIN_FILE
from keras_models.training.fit import digest_of
from tflm_vit.files import FileError, read_json

_KEPT = ("command", "seed", "versions", "machine", "epochs", "seconds", "images")
_KEPT_BEFORE = ("command", "epochs", "seconds", "images")


def training_of(folder: str, before: Sequence[str] = ()) -> dict[str, Any]:
    """What a trained folder says of its training, and under "before" what led to it.

    Args:
      folder: the trained folder.
      before: the folders whose weights it began from, the first one first.

    Raises:
      FileError: no training is recorded there, or one did not begin from the weights before it.
    """
    folders = (*before, folder)
    records = [
        read_json(os.path.join(each, TRAIN_FILE), "a record of a training", FileError)
        for each in folders
    ]
    for (earlier, _), (later, record) in itertools.pairwise(zip(folders, records, strict=True)):
        if record.get("initial") != digest_of(earlier):
            raise FileError(
                f"--before: {later} did not begin from the weights of {earlier}: name the folders "
                "of all its trainings, the first one first"
            )
    if records[0].get("initial"):
        raise FileError(
            f"{folders[0]}: began from another training's weights: name its folder, and those "
            "before it, with --before"
        )
    *led, last = records
    found = {key: last[key] for key in _KEPT}
    if led:
        found["before"] = [{key: record[key] for key in _KEPT_BEFORE} for record in led]
    return found


def all_trainings(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Every training of a record, the first one first."""
    return [*training.get("before", ()), training]
