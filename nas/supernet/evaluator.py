# SPDX-License-Identifier: Apache-2.0
"""Accuracy of sub-networks with the supernet's weights, on the search split."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from keras_models.datasets.identity import expect_same_data
from nas.space.any_space import AnySubnet, Searchable
from nas.supernet.data import SearchData, calibration_images, load_search_data
from nas.supernet.files import expect_same_search_images, load_supernet, trained_on
from tflm_vit.stderr import captured_stderr

if TYPE_CHECKING:
    from nas.supernet.compiled import Steps  # imports TensorFlow

IMAGES_SEED = 0  # of the images that are drawn, whatever the search's seed


@dataclasses.dataclass(frozen=True)
class SupernetSource:
    """Where supernet and images come from; plain text, so that workers can be told.

    Attributes:
      supernet: directory of `nas.train_supernet`.
      dataset, data_dir, search_fraction: as in training.
      images: how many of the search split, drawn without repetition, always the same ones; 0 for
        all.
      batch: images at a time.
    """

    supernet: str
    dataset: str
    data_dir: str = ""
    search_fraction: float = 0.2
    images: int = 0
    batch: int = 256


class Evaluator:
    """Measures sub-networks; loads and compiles on first use."""

    def __init__(
        self,
        source: SupernetSource,
        space: Searchable,
        allow_other_data: bool = False,
        data: SearchData | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
          allow_other_data: than the supernet was trained on, see `load`.
          data: of the source, where it was loaded before.
        """
        self.source, self.space = source, space
        self._allowed, self._given = allow_other_data, data
        self.evaluated = 0

    @functools.cached_property
    def _steps(self) -> Steps:
        with captured_stderr():  # TensorFlow says so while it is imported
            from nas.supernet.compiled import Steps

        net = load_supernet(self.source.supernet)
        images = calibration_images(self._data.dataset.train) if net.needs_statistics else None
        return Steps(net, calibration=images)

    @functools.cached_property
    def _data(self) -> SearchData:
        if self._given is not None:
            return self._given
        source = self.source
        return load_search_data(source.dataset, source.data_dir, self.space, source.search_fraction)

    @functools.cached_property
    def _images(self):  # type: ignore[no-untyped-def]
        source, data = self.source, self._data
        expect_same_data(source.supernet, trained_on(source.supernet), data.identity, self._allowed)
        expect_same_search_images(source.supernet, len(data.search), self._allowed)
        split = data.search
        # Drawn: a folder of classes lists one class after another.
        return data.arrays(split.take(source.images, IMAGES_SEED) if source.images else split)

    def load(self) -> None:
        """Reads the images now.

        Raises:
          DatasetError: they cannot be read, or are not those of the supernet's training.
        """
        self._images  # noqa: B018

    def __call__(self, config: AnySubnet) -> float:
        """Top-1 accuracy 0..1."""
        images, labels = self._images
        self.evaluated += 1
        return self._steps.accuracy(images, labels, config, self.source.batch)
