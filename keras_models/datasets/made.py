# SPDX-License-Identifier: Apache-2.0
"""Data sets that a command of the toolkit makes: a file of arrays for each of three splits."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets.core import ArraySource, Dataset, DatasetError, Split
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.text.subwords import Vocabulary, VocabularyError, vocabulary_of
from tflm_vit.files import expect_writable_folder, reading, write_atomic
from tflm_vit.folders import output_folder, working_folder

SPLITS = ("train", "validation", "test")
VOCABULARY_FILE = "vocab.txt"
Array = NDArray[Any]


def split_file(folder: str, split: str) -> str:
    """Where the examples of a split are."""
    return os.path.join(folder, f"{split}.npz")


@contextlib.contextmanager
def making(folder: str) -> Iterator[str]:
    """Gives a folder to write a data set's files into, which come into ``folder`` at the end.

    The old training split goes first and the new one comes last: whatever ends the command, there
    is never a training split beside files of another making, whose examples it may have.

    Raises:
      OSError: ``folder`` cannot be written. FileError: its name is no UTF-8.
    """
    expect_writable_folder(folder)
    with output_folder(folder), working_folder(Path(folder) / "made") as work:
        yield str(work)
        names, train = os.listdir(work), os.path.basename(split_file("", SPLITS[0]))
        if train in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, train))
        for name in sorted(names, key=lambda name: name == train):
            os.replace(work / name, os.path.join(folder, name))


def make_splits(
    folder: str,
    keys: tuple[str, ...],
    counts: Mapping[str, int],
    examples: Callable[[str, int], Iterable[tuple[Any, ...]]],
) -> None:
    """Makes a data set and says so.

    Args:
      counts: of examples, by split.
      examples: (split, its number) -> as many, as `write_split` takes them.
    """
    with making(folder) as work:
        for number, (split, count) in enumerate(counts.items()):
            write_split(work, split, keys, examples(split, number), count)
    print(f"wrote {', '.join(split_file(folder, split) for split in counts)}")


def write_split(
    folder: str, split: str, keys: tuple[str, ...], examples: Iterable[tuple[Any, ...]], count: int
) -> None:
    """Writes the file of a split: of each example an array for each key.

    Args:
      examples: of arrays in the order of the keys.
      count: of examples, for the progress bar.
    """
    from tqdm import tqdm  # the core, which asks for the names of data sets, has none

    shown = tqdm(examples, split, count)
    arrays = dict(zip(keys, (np.stack(part) for part in zip(*shown, strict=True)), strict=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomic(split_file(folder, split), buffer.getvalue())


def write_vocabulary(folder: str, vocabulary: Vocabulary) -> None:
    """Beside the splits, which were cut with it."""
    write_atomic(os.path.join(folder, VOCABULARY_FILE), vocabulary.file())


def read_vocabulary(folder: str) -> Vocabulary:
    """What `write_vocabulary` wrote.

    Raises:
      DatasetError: no such file, or no vocabulary.
    """
    path = os.path.join(folder, VOCABULARY_FILE)
    with reading(path, "a vocabulary", DatasetError), open(path, "rb") as file:
        try:
            return vocabulary_of(file.read())
        except VocabularyError as error:
            raise DatasetError(f"{path}: {error}; cut the texts again") from error


@dataclasses.dataclass(frozen=True)
class MadeData:
    """Such a data set.

    Attributes:
      name: as given to `--dataset`.
      command: the module that makes it.
      what: it holds, for people.
      images: key of the inputs, uint8 (n, *shape).
      shape: of an input: height, width, channels; height and width are equal.
      targets: key of what is to be said.
      check: (targets, number of images) -> raises DatasetError unless they are right.
      class_names: of an output's values.
      test_only: folders of a test split alone are one to score on.
      normalization: how bytes become what a network takes.
      kept_as: type of the targets in memory, as tasks take them; None: that of the file.
      subwords: inputs are texts of sub-words, of a vocabulary beside them.
    """

    name: str
    command: str
    what: str
    images: str
    shape: tuple[int, int, int]
    targets: str
    check: Callable[[Array, int], None]
    class_names: tuple[str, ...]
    test_only: bool = False
    kept_as: str | None = None
    normalization: Normalization = OWN
    subwords: bool = False

    def load(self, data_dir: str, image_size: int, channels: int) -> Dataset:
        """The data set.

        Raises:
          DatasetError: no folder, an unreadable file, or another size of picture.
        """
        if not data_dir:
            raise DatasetError(
                f"--dataset={self.name} needs --data_dir=FOLDER; python -m {self.command} "
                "--out=FOLDER makes one"
            )
        side, depth = self.shape[1], self.shape[2]
        if (image_size, channels) != (side, depth):
            raise DatasetError(
                f"--dataset={self.name} has {self.what} of {side} pixels and {depth} channels, the "
                f"network takes {image_size} and {channels}: take a network for {side} and {depth}"
            )
        train, validation, test = (self._named(data_dir, split) for split in SPLITS)
        vocabulary = read_vocabulary(data_dir) if self.subwords else None
        return Dataset(
            self.name, self.class_names, side, depth, train, validation, test, vocabulary
        )

    def _named(self, data_dir: str, split: str) -> Split:
        source = self._split(split_file(data_dir, split), split != "test")
        return Split(split, source, np.arange(len(source)), self.normalization)

    def _split(self, path: str, may_miss: bool) -> ArraySource:
        if self.test_only and may_miss and not os.path.exists(path):
            return ArraySource(np.zeros((0, *self.shape), np.uint8), np.zeros(0, np.int32))
        with reading(path, self.what, DatasetError), np.load(path) as file:
            missing = [key for key in (self.images, self.targets) if key not in file]
            if missing:
                raise DatasetError(
                    f"{path}: has no {' and '.join(missing)} (got {', '.join(file)}), which "
                    f"--dataset={self.name} needs; make the folder again: python -m {self.command}"
                )
            return self._source(file)

    def _source(self, file: Mapping[str, Array]) -> ArraySource:
        images, targets = file[self.images], file[self.targets]
        if images.shape != (len(images), *self.shape) or images.dtype != np.uint8:
            raise DatasetError(
                f"{self.images}: got {images.dtype} {list(images.shape)}, expected bytes "
                f"[n, {', '.join(str(n) for n in self.shape)}]"
            )
        self.check(targets, len(images))
        return ArraySource(images, targets.astype(self.kept_as) if self.kept_as else targets)


def check_labels(targets: Array, count: int, classes: int, shape: tuple[int, ...] = ()) -> None:
    """Refuses what are not classes, one for each input or for each of its pixels.

    Args:
      shape: of the targets of one input.

    Raises:
      DatasetError: another shape, or a class that is none.
    """
    check_shape("labels", targets, (count, *shape))
    low, high = (int(targets.min()), int(targets.max())) if targets.size else (0, 0)
    if targets.dtype.kind not in "ui" or low < 0 or high >= classes:
        raise DatasetError(f"labels: got {low} to {high}, expected 0 to {classes - 1}")


def check_shape(what: str, targets: Array, shape: tuple[int, ...]) -> None:
    """Raises DatasetError for another shape."""
    if targets.shape != shape:
        raise DatasetError(f"{what}: got {list(targets.shape)}, expected {list(shape)}")
