# SPDX-License-Identifier: Apache-2.0
"""What a data set is here: three splits that share no image, read by index, without TensorFlow.

Images are uint8 (height, width, channels), 0..255. Networks see float32 in [-1, 1]:
x = u / 127.5 - 1 (`normalize`), MCUFormer's scaling, for every data set. An int8 network input with
scale 1/127.5 and zero point near 0 is then the image byte minus 128.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from keras_models.datasets.normalization import OWN, Normalization
from keras_models.text.subwords import Vocabulary

# Splits are made with this seed whatever the seed of a training, so that a network never meets its
# test images in a training with another seed.
SPLIT_SEED = 20231

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]  # of rendered scenes a map for each image, of another type
Indices = npt.NDArray[np.int64]


class DatasetError(ValueError):
    """A data set is missing, unreadable or malformed; the message names the file and the remedy."""


def normalize(images: Images | Floats) -> Floats:
    """Pixels 0..255 -> float32 in [-1, 1], same shape."""
    return OWN.apply(images)


class Source(Protocol):
    """Images with labels that can be read by index."""

    def __len__(self) -> int: ...

    def load(self, indices: Indices) -> tuple[Images, Labels]:
        """Images (n, height, width, channels) uint8 and labels (n,), or maps (n, height, width), of
        those indices."""
        ...

    def labels(self) -> Labels | None:
        """All labels where they are known without reading the images."""
        ...

    def key(self, index: int) -> str:
        """What identifies an image: a path or a number."""
        ...


@dataclasses.dataclass(frozen=True)
class ArraySource:
    """Images in memory."""

    images: Images
    targets: Labels
    keys: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def load(self, indices: Indices) -> tuple[Images, Labels]:
        return self.images[indices], self.targets[indices]

    def labels(self) -> Labels | None:
        return self.targets

    def key(self, index: int) -> str:
        return self.keys[index] if self.keys else str(index)


@dataclasses.dataclass(frozen=True)
class Split:
    """Some images of a source, in a fixed order.

    Attributes:
      name: "train", "validation" or "test".
      source: of the images.
      indices: which of them.
      normalization: how their bytes become what a network takes.
    """

    name: str
    source: Source
    indices: Indices
    normalization: Normalization = OWN

    def __len__(self) -> int:
        return len(self.indices)

    def load(self, positions: Indices | slice) -> tuple[Images, Labels]:
        """uint8 images and labels at positions 0..len-1 of this split."""
        return self.source.load(self.indices[positions])

    def labels(self) -> Labels:
        """Labels of the whole split, in order; reads the images if there is no other way."""
        known = self.source.labels()
        if known is not None:
            return known[self.indices]
        return np.concatenate([labels for _, labels in self.batches(256)])

    def preload(self) -> None:
        """Reads what the source can keep in memory; an unreadable file is reported here."""
        preload = getattr(self.source, "preload", None)
        if preload is not None:
            preload(self.indices)

    def image_keys(self) -> tuple[str, ...]:
        return tuple(self.source.key(int(i)) for i in self.indices)

    def take(self, count: int, seed: int | None = None) -> Split:
        """The first `count` images, or `count` drawn without repetition with `seed`; all of a
        smaller split."""
        count = min(count, len(self))
        if seed is None:
            return dataclasses.replace(self, indices=self.indices[:count])
        order = np.random.default_rng(seed).permutation(len(self))[:count]
        return dataclasses.replace(self, indices=self.indices[order])

    def draw(self, count: int, seed: int, fewer: bool = False) -> Split:
        """`count` images drawn without repetition with `seed`; all of a smaller split if `fewer`.

        Raises:
          DatasetError: the split does not have so many; with both figures.
        """
        if not 0 < count <= len(self) and not (fewer and len(self)):
            raise DatasetError(
                f"{self.name} split: {count} images asked for, expected 1 to {len(self)}"
            )
        return self.take(count, seed)

    def batches(
        self, batch_size: int, shuffle_seed: int | None = None
    ) -> Iterator[tuple[Floats, Labels]]:
        """Normalized float32 images (pictures in [-1, 1]) and labels, every image once."""
        for images, labels in self.uint8_batches(batch_size, shuffle_seed):
            yield self.normalization.apply(images), labels

    def uint8_batches(
        self, batch_size: int, shuffle_seed: int | None = None
    ) -> Iterator[tuple[Images, Labels]]:
        """The same with images as bytes."""
        order = np.arange(len(self))
        if shuffle_seed is not None:
            np.random.default_rng(shuffle_seed).shuffle(order)
        for start in range(0, len(self), batch_size):
            yield self.load(order[start : start + batch_size])

    def arrays(self) -> tuple[Floats, Labels]:
        """The whole split in memory, normalized."""
        images, labels = self.load(slice(None))
        return self.normalization.apply(images), labels


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three disjoint splits.

    Attributes:
      name: as given to `--dataset`.
      class_names: name of each label.
      image_size, channels: of every image.
      train, validation, test: no image is in two of them. Choices (recipe, search, early stopping)
        are made on validation; test is for the final figure.
      vocabulary: that texts were cut with, of sub-words; None of others.
    """

    name: str
    class_names: tuple[str, ...]
    image_size: int
    channels: int
    train: Split
    validation: Split
    test: Split
    vocabulary: Vocabulary | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """The split called "train", "validation" or "test"."""
        for split in (self.train, self.validation, self.test):
            if split.name == name:
                return split
        raise DatasetError(f"split {name!r} does not exist, expected train, validation or test")


def partition(
    labels: Labels | None, count: int, fractions: tuple[float, ...]
) -> tuple[Indices, ...]:
    """Indices 0..count-1 in disjoint parts; the last part is what the fractions leave.

    With labels every class is divided in these proportions. Always the same for the same input.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    groups = [np.arange(count)]
    if labels is not None:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    parts: list[list[Indices]] = [[] for _ in range(len(fractions) + 1)]
    for group in groups:
        order = rng.permutation(group)
        start = 0
        for part, fraction in zip(parts, fractions, strict=False):
            stop = start + round(fraction * len(group))
            part.append(order[start:stop])
            start = stop
        parts[-1].append(order[start:])
    return tuple(np.sort(np.concatenate(part)) for part in parts)
