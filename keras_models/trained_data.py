# SPDX-License-Identifier: Apache-2.0
"""Which data set a command takes where none is named: the one that the network was trained on.

Any other would calibrate a network, or judge it, on images that it was not made for, and nothing
in the result would show it.
"""

from __future__ import annotations

import os
from typing import Any

from keras_models.datasets import DATASETS, Dataset, DatasetError
from keras_models.datasets.identity import Identity, expect_same_classes, recorded_in
from keras_models.load import TRAIN_FILE, expect_trained_directory, trained_directory
from keras_models.tasks import CLASSIFICATION, Task, task_named
from keras_models.training.recipe import Recipe, RecipeError
from tflm_vit.files import FileError, parse_json, read_text

CHOICES = f"--dataset={'|'.join(DATASETS)}"


def chosen_dataset(
    named: str | None, data_dir: str, model: str, weights: str = "trained", instead: str = ""
) -> str:
    """The name for `load_dataset`.

    Args:
      named: what `--dataset` says; taken as it is.
      data_dir: what `--data_dir` says; "" for nothing.
      model: preset name, architecture JSON file or trained directory.
      weights: as in `resolve_model`; only "trained" ones say what they were trained on.
      instead: other flags that would do, for the message, e.g. "--calibration_dir=FOLDER".

    Raises:
      DatasetError: the data set is not known, or its folder is not; the message says what to give.
      ModelNotFoundError: no such model, or one without trained weights.
    """
    if named:
        return named
    also = f" or {instead}" if instead else ""
    if weights != "trained":
        raise DatasetError(
            f"no data set named, and --weights={weights} does not say one: give {CHOICES}{also}"
        )
    path = os.path.join(expect_trained_directory(model), TRAIN_FILE)
    name = _recorded(path, also)
    if name == "image_folder" and not data_dir:
        raise DatasetError(
            f"{path}: trained on a folder of images; say where with --data_dir, "
            f"or give --dataset{also}"
        )
    if name == "digits" and data_dir:
        raise DatasetError(
            f"{path}: trained on digits, without a folder: leave --data_dir out, or give {CHOICES}"
        )
    return name


def _record(model: str) -> Any:
    """A train.json as it is; None where there is none, or no JSON: who needs it reports that."""
    directory = trained_directory(model)
    if directory is None:
        return None
    try:
        return parse_json(read_text(os.path.join(directory, TRAIN_FILE)))
    except (OSError, ValueError):
        return None


def recorded_identity(model: str) -> Identity | None:
    """The data set that a network's weights were trained on, as far as its train.json says it.

    Args:
      model: preset name, architecture JSON file or trained directory.
    """
    return recorded_in(_record(model))


def recorded_recipe(model: str) -> Recipe | None:
    """How they were trained; None where that is not known, or by a recipe of another version.

    Args:
      model: preset name, architecture JSON file or trained directory.
    """
    tree = _record(model)
    found = tree.get("recipe") if isinstance(tree, dict) else None
    if not isinstance(found, dict):
        return None
    try:
        return Recipe(**found)
    except (RecipeError, TypeError):
        return None


def recorded_task(model: str) -> Task | None:
    """What a network's weights were trained for; None where that is not known.

    Args:
      model: preset name, architecture JSON file or trained directory.

    Raises:
      TaskError: a task that does not exist.
    """
    tree = _record(model)
    name = tree.get("task", CLASSIFICATION.name) if isinstance(tree, dict) else None
    return None if name is None else task_named(str(name))


def recorded_classes(model: str) -> tuple[str, ...]:
    """The class names of the same; () where they are not known."""
    identity = recorded_identity(model)
    return () if identity is None else identity.class_names


def expect_trained_classes(
    network: str, weights: str, data: Dataset | None, allowed: bool
) -> tuple[str, ...]:
    """The class names of a network's training; () where they are not known.

    Args:
      network, weights: as the flags give them.
      data: what the network meets.
      allowed: what `--allow_other_data` says.

    Raises:
      DatasetError: the images are of other classes, of which a network never tells.
    """
    if weights != "trained":
        return ()
    names = recorded_classes(network)
    if data is not None:
        expect_same_classes(f"--network={network}", names, data, allowed)
    return names


def _recorded(path: str, also: str) -> str:
    """What training wrote down."""
    try:
        tree = parse_json(read_text(path))
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path}: no such file, so what the network was trained on is not known: give "
            f"{CHOICES}{also}"
        ) from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot read: {error.strerror}") from error
    except FileError as error:
        raise DatasetError(f"{error}; give {CHOICES}{also}") from error
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; give {CHOICES}{also}") from error
    name = tree.get("dataset") if isinstance(tree, dict) else None
    if name not in DATASETS:
        raise DatasetError(
            f"{path}: got dataset {name!r}, expected one that exists: give {CHOICES}{also}"
        )
    return str(name)
