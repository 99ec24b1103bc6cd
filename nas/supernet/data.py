# SPDX-License-Identifier: Apache-2.0
"""The images that guide a search: a part of the training split that the supernet never sees.

Training uses the rest, the validation split watches training, the test split is for the end.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets import Dataset, Split, load_dataset, normalize
from keras_models.datasets.core import partition
from keras_models.datasets.identity import Identity, identity_of
from nas.space import SpaceError
from nas.space.any_space import Searchable

SEARCH_FRACTION = 0.2
CALIBRATION_IMAGES = 512  # on which a sub-network's batch statistics are measured


@dataclasses.dataclass(frozen=True)
class SearchData:
    """A data set with one split more.

    Attributes:
      dataset: its `train` split lacks the images of `search`.
      search: where the accuracy of sub-networks is measured.
      identity: of the data set without that division.
      fraction: of the training images that are the search's.
    """

    dataset: Dataset
    search: Split
    identity: Identity
    fraction: float = SEARCH_FRACTION

    def arrays(self, split: Split) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """All images of a split in [-1, 1], and labels."""
        images, labels = split.load(slice(None))
        return normalize(images), labels


def calibration_images(split: Split, count: int = CALIBRATION_IMAGES) -> NDArray[np.float32]:
    """At most so many images of a split in [-1, 1], spread evenly over it."""
    places = np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64)
    chosen = dataclasses.replace(split, indices=split.indices[places])
    return normalize(chosen.load(slice(None))[0])


def with_search_split(data: Dataset, fraction: float = SEARCH_FRACTION) -> SearchData:
    """Divides the training split, class by class, always the same way.

    Raises:
      SpaceError: no share of the images, or images that come more than once, of which the supernet
        would see those that it is measured on.
    """
    if not 0.0 < fraction < 1.0:
        raise SpaceError(f"search_fraction: got {fraction}, expected more than 0 and less than 1")
    train = data.train
    if len(np.unique(train.indices)) < len(train):
        raise SpaceError(
            f"--dataset={data.name} has its training images more than once, so that a search would "
            "see those of the training: give another data set"
        )
    chosen, rest = partition(train.labels(), len(train), (fraction,))
    return SearchData(
        dataclasses.replace(data, train=dataclasses.replace(train, indices=train.indices[rest])),
        dataclasses.replace(train, name="search", indices=train.indices[chosen]),
        identity_of(data),
        fraction,
    )


def preloaded(data: Dataset, fraction: float) -> SearchData:
    """With one split more, in memory where that is large enough."""
    found = with_search_split(data, fraction)
    for split in (data.train, data.validation, data.test):
        split.preload()
    return found


def load_search_data(
    name: str, data_dir: str, space: Searchable, fraction: float = SEARCH_FRACTION
) -> SearchData:
    """A data set at the size that a space wants."""
    data = load_dataset(name, data_dir, image_size=space.image_size, channels=space.channels)
    return preloaded(data, fraction)
