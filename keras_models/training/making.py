# SPDX-License-Identifier: Apache-2.0
"""How a training's batches are made: read, augmented, normalized. NumPy only, for workers too."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets.core import Images, Indices, Labels, Split
from keras_models.datasets.normalization import BYTES
from keras_models.text.subwords import UNKNOWN
from keras_models.training.augmentation import Augment
from keras_models.training.recipe import Recipe

Batch = tuple[Any, NDArray[Any]]  # inputs: an array, or two


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> Indices:
    return np.random.default_rng((seed, epoch)).permutation(count)


def one_hot(labels: Labels, classes: int) -> NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[labels]


def with_unknown(texts: Images, share: float, rng: np.random.Generator) -> Images:
    """Texts of sub-words (n, side, side, 2) of which a share of the tokens has become unknown."""
    if not share:
        return texts
    texts = texts.copy()
    texts[(rng.random(texts.shape[:3]) < share) & texts.any(axis=3)] = (UNKNOWN, 0)
    return texts


@dataclasses.dataclass(frozen=True, eq=False)
class BatchMaker:
    """Batches of a classifier's training: float32 images in [-1, 1], soft labels.

    A batch depends on the seed, the epoch and its number only, whoever makes it and whatever was
    made before.

    Attributes:
      split: of the images.
      classes: number of them.
      recipe: batch size and augmentation.
      seed: of order and augmentation.
    """

    split: Split
    classes: int
    recipe: Recipe
    seed: int

    @property
    def batch_size(self) -> int:
        """Images of each batch."""
        return min(self.recipe.batch_size, len(self.split))

    def __len__(self) -> int:
        """Batches of an epoch; images that fill none are left out."""
        return len(self.split) // self.batch_size

    def order(self, epoch: int) -> Indices:
        """Of the images in an epoch."""
        return _order(self.seed, epoch, len(self.split))

    @functools.cached_property
    def _augment(self) -> Augment:
        return Augment(self.recipe, self.seed)

    def make(self, epoch: int, index: int) -> Batch:
        """One batch."""
        start = index * self.batch_size
        places = self.order(epoch)[start : start + self.batch_size]
        images, labels = self.split.load(places)
        targets = one_hot(labels, self.classes)
        normalization = self.split.normalization
        if normalization == BYTES:
            rng = np.random.default_rng((self.seed, epoch, index))
            texts = with_unknown(images, self.recipe.random_erasing, rng)
            return normalization.apply(texts), targets
        augmented, targets = self._augment(images, targets, epoch, index)
        return normalization.apply(augmented), targets
