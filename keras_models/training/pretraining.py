# SPDX-License-Identifier: Apache-2.0
"""A training that comes before another one: fractals, one image a class (OFDB)."""

from __future__ import annotations

import dataclasses

from keras_models.datasets import FRACTALS, Dataset, load_dataset
from keras_models.tasks import CLASSIFICATION
from keras_models.training.fit import TrainJob
from keras_models.training.recipe import RecipeError

FOLDER = "pretrain"  # in the folder of the training


def on_fractals(job: TrainJob, epochs: int) -> tuple[TrainJob, Dataset]:
    """The training before `job`, in a folder of its own: the same network with another classifier,
    by the same recipe, for `epochs`; and its images.

    Raises:
      RecipeError: other weights to start from are given as well, or it is for no classifier.
    """
    if job.initial:
        raise RecipeError("--pretrain and --initial: expected one of them")
    if job.task is not CLASSIFICATION:
        raise RecipeError(f"--pretrain: expected --task={CLASSIFICATION.name}")
    arch = job.arch
    data = load_dataset(FRACTALS, image_size=arch.image_size, channels=arch.channels)
    before = dataclasses.replace(
        job,
        arch=arch.replace(num_classes=data.num_classes),
        recipe=dataclasses.replace(job.recipe, epochs=epochs),
        dataset=FRACTALS,
        data_dir="",
        out=job.path(FOLDER),
        teacher="",
        distill=0.0,
    )
    return before, data
