# SPDX-License-Identifier: Apache-2.0
"""`--dataset=image_folder --data_dir=DIR`: one folder of JPEG or PNG files per class.

DIR holds either the class folders, or train/ and test/ (and validation/ or val/) with the same
class folders in each. What is missing is taken from train: a fifth for test, a tenth for
validation, class by class. A val/ without a test/ (ImageNet's layout) is the test split.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_models.datasets.core import (
    Dataset,
    DatasetError,
    Images,
    Indices,
    Labels,
    Source,
    Split,
    partition,
)
from keras_models.datasets.images import EXTENSIONS, read_images

TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
CACHE_BYTES = 512 << 20  # larger sets are decoded batch by batch, every time
PRELOAD_CHUNK = 1024


class FileSource:
    """Images decoded when they are first asked for, and kept if all of them fit in memory."""

    def __init__(self, paths: list[str], targets: Labels, size: int, channels: int) -> None:
        self._paths = paths
        self._targets = targets
        self._shape = (size, size, channels)
        bytes_needed = len(paths) * size * size * channels
        self._cached: np.ndarray[Any, Any] | None = None  # per image: is it in the cache
        if bytes_needed <= CACHE_BYTES:
            self._cached = np.zeros(len(paths), bool)
            self._cache = np.empty((len(paths), *self._shape), np.uint8)

    def __len__(self) -> int:
        return len(self._paths)

    def _decode(self, indices: Indices) -> Images:
        return read_images([self._paths[i] for i in indices], self._shape[0], self._shape[2])

    def load(self, indices: Indices) -> tuple[Images, Labels]:
        if self._cached is None:
            return self._decode(indices), self._targets[indices]
        missing = indices[~self._cached[indices]]
        if len(missing):
            self._cache[missing] = self._decode(missing)
            self._cached[missing] = True
        return self._cache[indices], self._targets[indices]

    def labels(self) -> Labels | None:
        return self._targets

    def key(self, index: int) -> str:
        return self._paths[index]

    def content_key(self, index: int) -> str:
        """Class folder, file name and size: what stays when the folder moves."""
        folder, name = os.path.split(self._paths[index])
        return f"{os.path.basename(folder)}/{name} {os.path.getsize(self._paths[index])}"

    def preload(self, indices: Indices) -> None:
        """Fills the cache, so that an unreadable file is reported before a training starts."""
        if self._cached is None:
            return
        from tqdm import tqdm

        with tqdm(total=len(indices), desc="reading images", delay=2, leave=False) as bar:
            for start in range(0, len(indices), PRELOAD_CHUNK):
                chunk = indices[start : start + PRELOAD_CHUNK]
                self.load(chunk)
                bar.update(len(chunk))


def _sub_folders(folder: str) -> list[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot list: {error.strerror}") from error
    return [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def _source(folder: str, classes: list[str], size: int, channels: int) -> FileSource:
    """All images of the class folders of `folder`, labelled by position in `classes`."""
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        class_folder = os.path.join(folder, name)
        if not os.path.isdir(class_folder):
            raise DatasetError(f"{class_folder}: no such class folder")
        files = [f for f in sorted(os.listdir(class_folder)) if f.lower().endswith(EXTENSIONS)]
        if not files:
            raise DatasetError(f"{class_folder}: no image files ({', '.join(EXTENSIONS)})")
        paths.extend(os.path.join(class_folder, file) for file in files)
        labels.extend([label] * len(files))
    return FileSource(paths, np.asarray(labels, np.int32), size, channels)


def load_folder(data_dir: str, image_size: int, channels: int = 3) -> Dataset:
    """Class folders as a `Dataset`.

    Raises:
      DatasetError: a folder is missing or empty, the classes of train and test differ, or a file is
        unreadable; the message names the path.
    """
    if not data_dir:
        raise DatasetError("--dataset=image_folder needs --data_dir=FOLDER with class folders")
    if not os.path.isdir(data_dir):
        raise DatasetError(f"{data_dir}: no such folder (--data_dir)")
    names = _sub_folders(data_dir)
    has_splits = "train" in names
    train_dir = os.path.join(data_dir, "train") if has_splits else data_dir
    classes = _sub_folders(train_dir)
    if len(classes) < 2:
        raise DatasetError(f"{train_dir}: {len(classes)} class folders, expected at least 2")
    train = _source(train_dir, classes, image_size, channels)

    def other(name: str) -> Source | None:
        folder = os.path.join(data_dir, name)
        extra = set(_sub_folders(folder)) - set(classes)
        if extra:
            raise DatasetError(f"{folder}/{min(extra)}: a class that {train_dir} does not have")
        return _source(folder, classes, image_size, channels)

    held_out = {name for name in ("validation", "val", "test") if has_splits and name in names}
    validation_name = next((n for n in ("validation", "val") if n in held_out), None)
    if "test" in held_out:
        test = other("test")
    elif validation_name:
        test, validation_name = other(validation_name), None
    else:
        test = None
    validation = other(validation_name) if validation_name else None
    return _assemble(data_dir, tuple(classes), (image_size, channels), train, validation, test)


def _assemble(
    data_dir: str,
    classes: tuple[str, ...],
    shape: tuple[int, int],
    train: Source,
    validation: Source | None,
    test: Source | None,
) -> Dataset:
    """Takes from train what has no folder of its own."""
    fractions = (0.0 if test else TEST_FRACTION, 0.0 if validation else VALIDATION_FRACTION)
    for_test, for_validation, for_train = partition(train.labels(), len(train), fractions)
    for name, part in (("test", test or for_test), ("validation", validation or for_validation)):
        if len(part) == 0:
            raise DatasetError(
                f"{data_dir}: too few images for a {name} split; add a {name}/ folder or images"
            )
    return Dataset(
        name="image_folder",
        class_names=classes,
        image_size=shape[0],
        channels=shape[1],
        train=Split("train", train, for_train),
        validation=Split("validation", validation, np.arange(len(validation)))
        if validation
        else Split("validation", train, for_validation),
        test=Split("test", test, np.arange(len(test))) if test else Split("test", train, for_test),
    )
