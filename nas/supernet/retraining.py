# SPDX-License-Identifier: Apache-2.0
"""Training of one network that a search found, alone, on the whole training split.

It starts from the supernet's weights or from scratch, with distillation from the supernet's largest
network if asked. The folder written is a trained directory as `keras_models.train` writes it.
"""

from __future__ import annotations

import dataclasses
import os
import platform
from typing import Any

import keras

from keras_models.datasets import Dataset
from keras_models.datasets.identity import RECORD, identity_of
from keras_models.tasks import CLASSIFICATION, task_of_data
from keras_models.train import accuracy
from keras_models.training.batches import TrainBatches
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    Progress,
    restore_checkpoint,
)
from keras_models.training.distillation import (
    Objective,
    TaughtBatches,
    taught_accuracy,
    taught_loss,
)
from keras_models.training.finish import SETUP, write_trained
from keras_models.training.loop import train_to_the_end
from keras_models.training.optimizer import make_optimizer
from keras_models.training.recipe import Recipe
from keras_models.training.setup import (
    check_setup,
    setup_digest,
    setup_text,
    versions,
    weights_digest,
)
from keras_models.vit import build_vit, copy_weights
from nas.space import SpaceError
from nas.space.any_space import AnySubnet, parse_any_subnet
from nas.space.setup import GONE
from nas.supernet.compiled import Steps
from nas.supernet.data import calibration_images
from nas.supernet.extract import extract
from nas.supernet.shared import SharedWeights
from tflm_vit.files import read_json, reading

WEIGHTS = ("inherited", "scratch")


@dataclasses.dataclass(frozen=True)
class RetrainJob:
    """What is trained, and how.

    Attributes:
      weights: "inherited" from the supernet or "scratch".
      objective: its `distill` is the share of imitation of the supernet's largest network.
    """

    config: AnySubnet
    weights: str
    recipe: Recipe
    objective: Objective
    seed: int
    out: str

    def setup(self, net: SharedWeights, data: Dataset) -> str:
        """JSON of what must not change between a kill and a resume."""
        fields = dataclasses.asdict(self)
        del fields["out"]
        supernet = weights_digest(keras.ops.convert_to_numpy(v) for v in net.weights)
        return setup_text(data, **fields, supernet=supernet)

    def path(self, name: str) -> str:
        return os.path.join(self.out, name)


def retrain(
    job: RetrainJob, net: SharedWeights, data: Dataset, resume: bool = False
) -> tuple[Any, Progress]:
    """Trains a sub-network alone.

    Returns:
      The model with averaged weights, and the progress at the end.
    """
    recipe, arch = job.recipe, net.space.arch(job.config)
    keras.utils.set_random_seed(job.seed)
    model = build_vit(arch, drop_path=recipe.drop_path)
    if job.weights == "inherited":
        copy_weights(_inherited(job, net, data), model)
    batches = _batches(job, net, data)
    model.compile(
        optimizer=make_optimizer(recipe, len(batches)),
        loss=taught_loss(job.objective, data.num_classes),
        metrics=[taught_accuracy(data.num_classes)],
    )
    start = _start(job, job.setup(net, data), model, resume)
    progress = train_to_the_end(model, batches, data, recipe, start, job.out, job.seed)
    final = build_vit(arch)
    copy_weights(model, final)
    return final, progress


def _inherited(job: RetrainJob, net: SharedWeights, data: Dataset) -> Any:
    """The sub-network as it is in the supernet."""
    images = calibration_images(data.train) if net.needs_statistics else None
    statistics = Steps(net, calibration=images).statistics(job.config)
    return extract(net, job.config, statistics)


def _batches(job: RetrainJob, net: SharedWeights, data: Dataset) -> TrainBatches:
    """Training images, with the largest network's logits where it teaches."""
    kind = TaughtBatches if job.objective.distill else TrainBatches
    batches = kind(data.train, data.num_classes, job.recipe, job.seed, 0)
    if isinstance(batches, TaughtBatches):
        images = calibration_images(data.train) if net.needs_statistics else None
        steps = Steps(net, calibration=images)
        largest = net.space.largest(job.config.form)
        batches.teacher = lambda images: steps.logits(images, largest)
    return batches


def _start(job: RetrainJob, setup: str, model: Any, resume: bool) -> Progress:
    """Restores the checkpoint if there is one to go on from."""
    path = job.path(CHECKPOINT_FILE)
    if not (resume and os.path.exists(path)):
        return Progress(0, 0.0, [], setup)
    check_setup(path, setup, GONE)
    return restore_checkpoint(path, model)


def write(job: RetrainJob, net: SharedWeights, data: Dataset, model: Any, progress: Progress,
          command: str) -> dict[str, Any]:  # fmt: skip
    """Writes the trained directory; returns what train.json holds."""
    arch, task = net.space.arch(job.config), task_of_data(data.name)
    report = {
        "command": command,
        "seed": job.seed,
        "versions": versions(),
        "backend": keras.backend.backend(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        **({} if task is CLASSIFICATION else {"task": task.name}),
        "arch": arch.name,
        "params": arch.params,
        "macs": arch.macs,
        "dataset": data.name,
        RECORD: dataclasses.asdict(identity_of(data)),
        "images": {s.name: len(s) for s in (data.train, data.validation, data.test)},
        "weights": job.weights,
        "config": job.config.to_dict(),
        "recipe": job.recipe.tree(),
        "objective": dataclasses.asdict(job.objective),
        SETUP: setup_digest(job.setup(net, data)),
        "epochs": progress.epochs_done,
        "seconds": round(progress.seconds, 1),
        "validation_accuracy": accuracy(model, data, "validation"),
        "test_accuracy": accuracy(model, data, "test"),
        "history": progress.history,
    }
    write_trained(job.out, arch, model, report)
    return report


def network_of(path: str, trial: int | None) -> AnySubnet:
    """A network of a front.json: that of a trial, or the most accurate one.

    Raises:
      SpaceError: no such file or trial; the message lists the trials.
    """
    what = "a front.json of nas.search"
    with reading(path, what, SpaceError):
        front = read_json(path, what, SpaceError)["front"]
        found = {entry["trial"]: entry for entry in front}
        if trial is None:
            trial = max(found, key=lambda t: found[t]["accuracy"])
        if trial not in found:
            listed = ", ".join(str(t) for t in found)
            raise SpaceError(f"{path}: trial {trial} is not in the front, expected one of {listed}")
        return parse_any_subnet(found[trial]["config"])
