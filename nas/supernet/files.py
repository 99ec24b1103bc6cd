# SPDX-License-Identifier: Apache-2.0
"""A trained supernet on disk: `space.json` and `supernet.npz` in one directory."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_models.datasets.identity import Identity, recorded_in
from keras_models.load import expect_ended
from nas.space import SpaceError
from nas.space.any_space import load_space
from tflm_vit.files import checked_archive, read_json, reading, write_atomic

if TYPE_CHECKING:
    from nas.supernet.shared import (
        SharedWeights,  # imports TensorFlow, which not every command waits for
    )

SPACE_FILE = "space.json"
WEIGHTS_FILE = "supernet.npz"
TRAIN_FILE = "train.json"


def save_supernet(directory: str, net: SharedWeights) -> None:
    """Writes both files; each appears whole or not at all."""
    import keras

    values: dict[str, Any] = {
        w.path.replace("/", "|"): keras.ops.convert_to_numpy(w) for w in net.weights
    }
    buffer = io.BytesIO()
    np.savez(buffer, **values)
    os.makedirs(directory, exist_ok=True)
    net.space.save(os.path.join(directory, SPACE_FILE))
    write_atomic(os.path.join(directory, WEIGHTS_FILE), buffer.getvalue())


def expect_ended_supernet(directory: str) -> None:
    """Refuses the folder of a training that was stopped while it wrote its result.

    Raises:
      SpaceError: its files may be of two trainings.
    """
    expect_ended(directory, SpaceError)


def trained_on(directory: str) -> Identity | None:
    """The data set of a supernet's training; None where its train.json does not say it.

    Raises:
      SpaceError: a train.json that is no JSON.
    """
    path = os.path.join(directory, TRAIN_FILE)
    if not os.path.exists(path):
        return None
    return recorded_in(read_json(path, "a record of nas.train_supernet", SpaceError))


def expect_same_search_images(directory: str, found: int, allowed: bool) -> None:
    """Refuses another division of the data set than that of a supernet's training.

    Args:
      found: images for the search; a larger or smaller share has some that the supernet has seen.
      allowed: what `--allow_other_data` says.

    Raises:
      SpaceError: another number than its train.json says.
    """
    path = os.path.join(directory, TRAIN_FILE)
    if allowed or not os.path.exists(path):
        return
    what = "a record of nas.train_supernet"
    with reading(path, what, SpaceError):
        images = read_json(path, what, SpaceError).get("images", {})
        kept = images.get("search", found)
    if kept != found:
        raise SpaceError(
            f"{directory}: trained without {kept} images that are for the search, got {found}: "
            "give the --search_fraction of the training, else networks are measured on images that "
            "the supernet has seen"
        )


def load_supernet(directory: str) -> SharedWeights:
    """The supernet of a directory that `nas.train_supernet` wrote.

    Raises:
      SpaceError: a file is missing or does not belong to the space; the message names it.
    """
    from nas.supernet.make import make_supernet

    expect_ended_supernet(directory)
    net = make_supernet(load_space(os.path.join(directory, SPACE_FILE)))
    path = os.path.join(directory, WEIGHTS_FILE)
    try:
        what = f"the weights of {net.space.name}"
        with reading(path, what, SpaceError), np.load(checked_archive(path)) as data:
            for weight in net.weights:
                value = data[weight.path.replace("/", "|")]
                if value.shape != tuple(weight.shape):
                    raise SpaceError(
                        f"{path}: {weight.path} is {value.shape}, expected {tuple(weight.shape)}"
                    )
                weight.assign(value)
    except OSError as error:
        what = f"not the weights of {net.space.name}"
        raise SpaceError(f"{path}: {what}: {error.strerror}") from error
    return net
