# SPDX-License-Identifier: Apache-2.0
"""Networks of a study trained alone from random weights, all by one recipe; resumable."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

from keras_models.datasets import Dataset
from keras_models.staged import StagedConfig
from keras_models.training.recipe import Recipe
from nas.space.any_space import AnySubnet, Searchable

Scored = Sequence[tuple[AnySubnet, float]]


@dataclasses.dataclass(frozen=True)
class TrainedAlone:
    """How networks are trained, and where.

    Attributes:
      recipe: of all.
      data: images; `dataset` and `data_dir` name them.
      work: folder of all trainings.
      command: of the study, for the records.
      search_images: that accuracies of networks are measured on before.
    """

    recipe: Recipe
    data: Dataset
    dataset: str
    data_dir: str
    work: str
    command: str
    search_images: int

    def train(self, arch: StagedConfig, seed: int) -> dict[str, Any]:
        """What `keras_models.train` reports; in the folder trained_<the network's name>."""
        import keras

        from keras_models.train import train
        from keras_models.training.fit import TrainJob

        keras.backend.clear_session()
        out = os.path.join(self.work, f"trained_{arch.name}")
        job = TrainJob(
            arch, self.recipe, self.dataset, self.data_dir, seed, out, checkpoint_every=1,
            jit=False,
        )  # fmt: skip
        os.makedirs(out, exist_ok=True)
        return train(job, self.data, self.command, resume=True)

    def briefly(self, epochs: int) -> TrainedAlone:
        """The same of so many epochs, for a choice: no test image is read."""
        known = dataclasses.replace(self.data.validation, name="test")
        data = dataclasses.replace(self.data, test=known)
        recipe = dataclasses.replace(self.recipe, epochs=epochs)
        return dataclasses.replace(self, recipe=recipe, data=data)


def candidates(
    space: Searchable, scored: Scored, images: int, count: int
) -> list[tuple[AnySubnet, float]]:
    """The most accurate network, and the largest of those that cannot be told from it.

    Those are within one standard error of an accuracy over so many images. Of them more
    multiply-accumulates come first: what the supernet trains most are its smaller networks.
    """
    ranked = sorted(dict(scored).items(), key=lambda each: -each[1])
    best = ranked[0][1]
    error = math.sqrt(best * (1 - best) / images)
    near = [each for each in ranked[1:] if each[1] >= best - error]
    near.sort(key=lambda each: -space.arch(each[0]).macs)
    return [ranked[0], *near[: count - 1]]
