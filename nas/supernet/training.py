# SPDX-License-Identifier: Apache-2.0
"""Trains a supernet: each step one random sub-network that fits the budget, or four (sandwich).

Writes `space.json`, `supernet.npz` (averaged weights) and `train.json`; while it runs also
`checkpoint.npz` and `tensorboard/`. A killed training goes on: the same sub-networks, the same
batches.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from keras_models.datasets.identity import RECORD
from keras_models.training.batches import TrainBatches
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    Progress,
    restore_checkpoint,
    save_checkpoint,
)
from keras_models.training.distillation import Objective
from keras_models.training.finish import SETUP, begin_result, end_result, finished_report
from keras_models.training.fit import digest_of
from keras_models.training.optimizer import make_optimizer
from keras_models.training.recipe import Recipe
from keras_models.training.setup import check_setup, setup_digest, setup_text
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.space.any_space import AnySubnet, Searchable
from nas.space.setup import GONE
from nas.supernet.cluster import DistributionError
from nas.supernet.compiled import Steps
from nas.supernet.data import SEARCH_FRACTION, SearchData, calibration_images
from nas.supernet.distribution import Distribution
from nas.supernet.files import save_supernet
from nas.supernet.init_dense import load_initial
from nas.supernet.initial import initial_digest
from nas.supernet.make import make_supernet
from nas.supernet.shared import SharedWeights

PANEL = 4  # random sub-networks that are evaluated after each epoch
EVALUATION_BATCH = 256


@dataclasses.dataclass(frozen=True)
class SupernetJob:
    """What is to be trained, and how."""

    space: Searchable
    model: CostModel
    recipe: Recipe
    objective: Objective
    sandwich: bool
    seed: int
    out: str
    initial: str = ""
    teacher: str = ""
    checkpoint_every: int = 1
    levels: int | None = None  # of complexity (`Sampler.step`)

    def setup(self, data: SearchData) -> str:
        """JSON of what must not change between a kill and --resume.

        The number of replicas may: it does not change the steps.
        """
        fields = dataclasses.asdict(self)
        for name in ("out", "checkpoint_every"):
            del fields[name]
        if self.levels is None:  # as it was before there were any
            del fields["levels"]
        # What the folders hold, not where they are.
        fields["initial"] = initial_digest(self.initial) if self.initial else ""
        fields["teacher"] = digest_of(self.teacher) if self.teacher else ""
        fields["space"] = json.loads(self.space.to_json())
        fields["model"] = self.model.to_dict()
        return setup_text(data.identity, search_fraction=data.fraction, **fields)

    def ended(self, data: SearchData) -> dict[str, Any] | None:
        """The record of this very training where it has ended."""
        setup = json.loads(self.setup(data))
        found = finished_report(self.out, json.dumps(setup))
        if found is None and setup.pop("search_fraction") == SEARCH_FRACTION:
            found = finished_report(self.out, json.dumps(setup))  # as earlier versions wrote it
        return found

    def path(self, name: str) -> str:
        return os.path.join(self.out, name)


@contextlib.contextmanager
def averaged(net: SharedWeights, optimizer: Any) -> Iterator[None]:
    """Within it the supernet has the averaged weights, if the optimizer keeps any."""
    if not optimizer.use_ema:
        yield
        return
    variables = net.trainable_variables
    kept = [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """What the checkpoint file calls a model."""

    weights: Any
    trainable_variables: Any
    optimizer: Any


class Training:
    """A supernet in training: in this process, or its part of it in one of several.

    Raises:
      DistributionError: processes that do different jobs, or a batch without equal shares.
    """

    def __init__(
        self, job: SupernetJob, data: SearchData, distribution: Distribution | None = None
    ) -> None:
        self.job, self.data = job, data
        self.distribution = distribution or Distribution()
        keras.utils.set_random_seed(job.seed)
        self.sampler = Sampler(job.space, job.model, job.seed)
        self.sampler.census  # noqa: B018  an impossible budget is refused before anything slow
        with self.distribution.scope():
            self.net = make_supernet(job.space, job.seed, self.distribution.replicas > 1)
        if self.net.needs_statistics and self.distribution.replicas > 1:
            raise DistributionError(
                f"{job.space.name}: batch statistics of its convolutions are those of one device, "
                f"expected one, not {self.distribution.replicas}"
            )
        if job.initial:
            load_initial(self.net, job.initial)
        dataset = data.dataset
        self.batches = TrainBatches(dataset.train, dataset.num_classes, job.recipe, job.seed, 0)
        self.distribution.check_batch(self.batches.batch_size)
        with self.distribution.scope():
            self.optimizer = make_optimizer(job.recipe, len(self.batches))
        images = calibration_images(dataset.train) if self.net.needs_statistics else None
        self.steps = Steps(self.net, self.optimizer, job.objective, self.distribution, images)
        self.panel = self.sampler.panel(PANEL)
        self.teacher = _teacher(job.teacher)
        self.progress = Progress(0, 0.0, [], job.setup(data))

    def _stored(self) -> _Stored:
        return _Stored(self.net.weights, self.net.trainable_variables, self.optimizer)

    def start(self) -> None:
        """Brings all processes to where the chief is; the others need no checkpoint.

        Called by every process, after the chief's `resume`.
        """
        self.distribution.agree(self.progress.setup)
        done = self.distribution.number_of_chief(self.progress.epochs_done)
        self.progress = dataclasses.replace(self.progress, epochs_done=done)
        self.distribution.from_chief([*self.net.weights, *self.optimizer.variables])

    def resume(self, path: str) -> None:
        """Goes on from a checkpoint of the same job.

        Raises:
          CheckpointError: unreadable, or of another job.
        """
        check_setup(path, self.progress.setup, GONE)
        self.progress = restore_checkpoint(path, self._stored())

    def fit(self) -> list[dict[str, float]]:
        """Trains to the end of the recipe; returns the figures of every epoch."""
        recipe, chief = self.job.recipe, self.distribution.chief
        board = _TensorBoard(self.job.path("tensorboard")) if chief else None
        steps = len(self.batches)
        done = self.progress.epochs_done
        total, first = recipe.epochs * steps, done * steps
        with tqdm(total=total, initial=first, unit="step", disable=not chief) as bar:
            for epoch in range(done, recipe.epochs):
                bar.set_description(f"epoch {epoch + 1}/{recipe.epochs}", refresh=False)
                figures = self._epoch(epoch, bar)
                if board is not None:
                    board.write(epoch + 1, figures)
                bar.set_postfix({k: f"{v:.3f}" for k, v in figures.items()}, refresh=False)
        return self.progress.history

    def _epoch(self, epoch: int, bar: Any) -> dict[str, float]:
        self.batches.start_epoch(epoch)
        started, losses = time.monotonic(), []
        for step in range(len(self.batches)):
            images, labels = self.batches[step]
            number = epoch * len(self.batches) + step
            configs = self.sampler.step(number, self.job.sandwich, self.job.levels)
            teacher = None if self.teacher is None else self.teacher(images)
            losses.append(self.steps.train(images, labels, configs, teacher))
            bar.update(1)
        trained = time.monotonic() - started
        figures = {"loss": float(np.mean(losses))}
        if self.distribution.chief:
            figures |= self.evaluate()
        figures["steps_per_second"] = len(losses) / trained
        self.progress = Progress(
            epoch + 1,
            self.progress.seconds + time.monotonic() - started,
            [*self.progress.history, figures],
            self.progress.setup,
        )
        due = (epoch + 1) % self.job.checkpoint_every == 0 or epoch + 1 == self.job.recipe.epochs
        if due and self.distribution.chief:
            save_checkpoint(self.job.path(CHECKPOINT_FILE), self._stored(), self.progress)
        return figures

    def evaluate(self) -> dict[str, float]:
        """Validation accuracy of the largest, the smallest and some random sub-networks."""
        images, labels = self.data.arrays(self.data.dataset.validation)
        census = self.sampler.census
        assert census.largest is not None
        smallest = self.sampler.extremes(census.least_flash.form)[1] if self._small() else None

        def accuracy(config: AnySubnet) -> float:
            return self.steps.accuracy(images, labels, config, EVALUATION_BATCH)

        with averaged(self.net, self.optimizer):
            figures = {"largest": accuracy(census.largest)}
            if smallest is not None:
                figures["smallest"] = accuracy(smallest)
            figures["random"] = float(np.mean([accuracy(c) for c in self.panel]))
        return figures

    def _small(self) -> bool:
        """Whether the network with the fewest constants fits (its SRAM may not)."""
        return self.sampler.fits(self.sampler.census.least_flash)


def _teacher(directory: str) -> Any:
    """A function images -> logits of a trained network, or None."""
    if not directory:
        return None
    from keras_models.load import load_network

    _, model = load_network(directory)
    return lambda images: keras.ops.convert_to_numpy(model(images, training=False))


class _TensorBoard:
    """Scalars for TensorBoard; without the package there are none."""

    def __init__(self, directory: str) -> None:
        try:
            from keras_models.training.callbacks import TensorBoardScalars

            self._scalars: Any = TensorBoardScalars(directory)
        except ImportError as error:
            print(f"no TensorBoard log: {error}", file=sys.stderr)
            self._scalars = None

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        if self._scalars is not None:
            self._scalars.on_epoch_end(epoch - 1, figures)


def train(
    job: SupernetJob,
    data: SearchData,
    command: str,
    resume: bool = False,
    distribution: Distribution | None = None,
) -> dict[str, Any]:
    """Trains; the chief writes the supernet's directory. Returns what train.json holds.

    Raises:
      DistributionError: another process ended, or does another job.
    """
    distribution = distribution or Distribution()
    checkpoint = job.path(CHECKPOINT_FILE)
    # Of several processes only the chief has the folder.
    alone = distribution.kind != "multi_worker"
    if resume and alone and (ended := job.ended(data)):
        print(f"{job.out}: this training has ended already")
        return ended
    with distribution.watched():
        training = Training(job, data, distribution)
        if resume and distribution.chief and os.path.exists(checkpoint):
            training.resume(checkpoint)
            print(f"resuming after epoch {training.progress.epochs_done} of {job.recipe.epochs}")
        training.start()
        training.fit()
    report = _report(training, command)
    if distribution.chief:
        begin_result(job.out)
        with averaged(training.net, training.optimizer):
            save_supernet(job.out, training.net)
        end_result(job.out, report)
    return report


def _report(training: Training, command: str) -> dict[str, Any]:
    """What train.json holds."""
    job, data = training.job, training.data
    census = training.sampler.census
    return {
        "command": command,
        "seed": job.seed,
        "backend": keras.backend.backend(),
        "distribution": training.distribution.kind,
        "replicas": training.distribution.replicas,
        "space": job.space.name,
        "networks": census.total,
        "networks_that_fit": census.fit_both,
        "dataset": data.dataset.name,
        RECORD: dataclasses.asdict(data.identity),
        "images": {"train": len(data.dataset.train), "search": len(data.search)},
        "recipe": job.recipe.tree(),
        "objective": dataclasses.asdict(job.objective),
        "sandwich": job.sandwich,
        **({} if job.levels is None else {"complexity_levels": job.levels}),
        "target": job.model.target.to_dict(),
        SETUP: setup_digest(job.setup(data)),
        "epochs": training.progress.epochs_done,
        "steps": training.progress.epochs_done * len(training.batches),
        "seconds": round(training.progress.seconds, 1),
        "compilations": len(training.steps.compilations),
        "patches": len(list(job.space.forms())),
        "history": training.progress.history,
    }
