# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.retrain --supernet=DIR --front=OUT/front.json --out=NET`: trains what was found.

Takes one network of a Pareto front, with the supernet's weights or from scratch, and trains it
alone on the whole training split, with distillation from the supernet's largest network if asked.
NET is a trained directory as `keras_models.train` writes it: the input of `converter.quantize`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from absl import app, flags
from keras import ops

from keras_models.datasets import DATASETS, Dataset, load_dataset
from keras_models.load import ARCH_FILE, TRAIN_FILE, WEIGHTS_FILE
from keras_models.train import accuracy
from keras_models.training import callbacks
from keras_models.training.batches import EvalBatches, TrainBatches
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
    Progress,
    read_progress,
    restore_checkpoint,
)
from keras_models.training.optimizer import make_optimizer
from keras_models.training.recipe import Recipe
from keras_models.vit import build_vit
from nas.command import FLAGS, run, write_json
from nas.space import SpaceError, SubnetConfig, parse_subnet
from nas.steps import Objective, Steps
from nas.stored import load_supernet
from nas.supernet import Supernet, extract
from nas.train_supernet import recipe_of_flags
from tflm_vit.run import typed_command

Teacher = Callable[[Any], Any]
WEIGHTS = ("inherited", "scratch")


@dataclasses.dataclass(frozen=True)
class Job:
    """What is trained, and how.

    Attributes:
      weights: "inherited" from the supernet or "scratch".
      objective: its `distill` is the share of imitation of the supernet's largest network.
    """

    config: SubnetConfig
    weights: str
    recipe: Recipe
    objective: Objective
    seed: int
    out: str

    def setup(self) -> str:
        fields = dataclasses.asdict(self)
        del fields["out"]
        return json.dumps(fields, sort_keys=True)

    def path(self, name: str) -> str:
        return os.path.join(self.out, name)


class _TaughtBatches(TrainBatches):
    """Training batches whose targets are labels and, behind them, the teacher's logits."""

    teacher: Teacher

    def __getitem__(self, index: int) -> Any:
        images, targets = super().__getitem__(index)
        return images, np.concatenate([targets, self.teacher(images)], axis=-1)


def _loss(objective: Objective, classes: int) -> Any:
    def loss(targets: Any, logits: Any) -> Any:
        teacher = targets[:, classes:] if targets.shape[-1] > classes else None
        return objective([logits], targets[:, :classes], teacher)

    return loss


def _right(classes: int) -> Any:
    def right(targets: Any, logits: Any) -> Any:
        same = ops.argmax(targets[:, :classes], -1) == ops.argmax(logits, -1)
        return ops.cast(same, "float32")

    right.__name__ = "accuracy"
    return right


def retrain(job: Job, net: Supernet, data: Dataset, resume: bool = False) -> tuple[Any, Progress]:
    """Trains a sub-network alone.

    Returns:
      The model with averaged weights, and the progress at the end.
    """
    classes, recipe = data.num_classes, job.recipe
    arch = net.space.arch(job.config)
    keras.utils.set_random_seed(job.seed)
    model = build_vit(arch, drop_path=recipe.drop_path)
    if job.weights == "inherited":
        model.set_weights(extract(net, job.config).get_weights())
    kind = _TaughtBatches if job.objective.distill else TrainBatches
    batches = kind(data.train, classes, recipe, job.seed, 0)
    if isinstance(batches, _TaughtBatches):
        steps, largest = Steps(net), net.space.largest(job.config.patch)
        batches.teacher = lambda images: steps.logits(images, largest)
    model.compile(
        optimizer=make_optimizer(recipe, len(batches)),
        loss=_loss(job.objective, classes),
        metrics=[keras.metrics.MeanMetricWrapper(_right(classes), name="accuracy")],
    )
    start = Progress(0, 0.0, [], job.setup())
    path = job.path(CHECKPOINT_FILE)
    if resume and os.path.exists(path):
        if read_progress(path).setup != start.setup:
            raise CheckpointError(f"{path}: made with other settings; give the same ones")
        start = restore_checkpoint(path, model)
    batches.start_epoch(start.epochs_done)
    saving = callbacks.Checkpoints(path, start, recipe.epochs, 1)
    used = [
        callbacks.EpochSeeds(job.seed),
        callbacks.ProgressBar(recipe.epochs, len(batches), start.epochs_done),
        saving,
    ]
    if recipe.ema_momentum:
        used.append(keras.callbacks.SwapEMAWeights())
    with contextlib.suppress(ImportError):
        used.append(callbacks.TensorBoardScalars(job.path("tensorboard")))
    if start.epochs_done < recipe.epochs:
        model.fit(
            batches,
            validation_data=EvalBatches(data.validation, classes, 256),
            initial_epoch=start.epochs_done,
            epochs=recipe.epochs,
            callbacks=used,
            verbose=0,
            shuffle=False,
        )
    final = build_vit(arch)
    final.set_weights(model.get_weights())
    return final, saving.progress


def write(job: Job, net: Supernet, data: Dataset, model: Any, progress: Progress,
          command: str) -> dict[str, Any]:  # fmt: skip
    """Writes the trained directory; returns what train.json holds."""
    arch = net.space.arch(job.config)
    report = {
        "command": command,
        "seed": job.seed,
        "backend": keras.backend.backend(),
        "arch": arch.name,
        "params": arch.params,
        "macs": arch.macs,
        "dataset": data.name,
        "weights": job.weights,
        "config": job.config.to_dict(),
        "recipe": dataclasses.asdict(job.recipe),
        "objective": dataclasses.asdict(job.objective),
        "epochs": progress.epochs_done,
        "seconds": round(progress.seconds, 1),
        "validation_accuracy": accuracy(model, data, "validation"),
        "test_accuracy": accuracy(model, data, "test"),
        "history": progress.history,
    }
    arch.save(job.path(ARCH_FILE))
    temporary = job.path(f"tmp.{WEIGHTS_FILE}")  # Keras insists on the ending
    model.save_weights(temporary)
    os.replace(temporary, job.path(WEIGHTS_FILE))
    write_json(job.path(TRAIN_FILE), report)
    with contextlib.suppress(FileNotFoundError):
        os.remove(job.path(CHECKPOINT_FILE))
    return report


def network_of(path: str, trial: int | None) -> SubnetConfig:
    """A network of a front.json: that of a trial, or the most accurate one.

    Raises:
      SpaceError: no such file or trial; the message lists the trials.
    """
    try:
        with open(path, encoding="utf-8") as file:
            front = json.load(file)["front"]
        found = {entry["trial"]: entry for entry in front}
        if trial is None:
            trial = max(found, key=lambda t: found[t]["accuracy"])
        if trial not in found:
            listed = ", ".join(str(t) for t in found)
            raise SpaceError(f"{path}: trial {trial} is not in the front, expected one of {listed}")
        return parse_subnet(found[trial]["config"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SpaceError(f"{path}: not a front.json of nas.search: {error}") from error


# ---- command line --------------------------------------------------------------------------------


def define_flags() -> None:
    flags.DEFINE_string("supernet", None, "directory of nas.train_supernet", required=True)
    flags.DEFINE_string("front", None, "front.json of nas.search", required=True)
    flags.DEFINE_integer("trial", None, "which network of the front; default: the most accurate")
    flags.DEFINE_enum("weights", "inherited", WEIGHTS, "what training starts from")
    flags.DEFINE_float("distill", 0.0, "share of imitation of the supernet's largest network")
    flags.DEFINE_enum("dataset", "digits", DATASETS, "data set")
    flags.DEFINE_string("data_dir", "", "folder of the data set")
    flags.DEFINE_string("out", None, "directory for the trained network", required=True)
    flags.DEFINE_integer("seed", 0, "of shuffling, augmentation and new weights")
    flags.DEFINE_integer("epochs", None, "short for --set=epochs=N", lower_bound=1)
    flags.DEFINE_integer("batch_size", None, "short for --set=batch_size=N", lower_bound=1)
    flags.DEFINE_multi_string("set", [], "recipe field, FIELD=VALUE; may be repeated")
    flags.DEFINE_boolean("resume", False, "go on from the checkpoint in --out if there is one")
    flags.DEFINE_string("json", None, "also write the report (train.json) here")


def _body() -> None:
    if not 0.0 <= FLAGS.distill <= 1.0:
        raise ValueError(f"--distill={FLAGS.distill}: expected 0 to 1")
    config = network_of(FLAGS.front, FLAGS.trial)
    net = load_supernet(FLAGS.supernet)
    net.space.check(config)
    os.makedirs(FLAGS.out, exist_ok=True)
    space = net.space
    data = load_dataset(
        FLAGS.dataset, FLAGS.data_dir, image_size=space.image_size, channels=space.channels
    )
    recipe = recipe_of_flags(FLAGS.dataset)
    objective = Objective(recipe.label_smoothing, FLAGS.distill)
    job = Job(config, FLAGS.weights, recipe, objective, FLAGS.seed, FLAGS.out)
    started = time.monotonic()
    model, progress = retrain(job, net, data, FLAGS.resume)
    command = typed_command("nas.retrain")
    report = write(job, net, data, model, progress, command)
    if FLAGS.json:
        write_json(FLAGS.json, report)
    print(
        f"{report['params']:,} parameters, {report['epochs']} epochs, validation "
        f"{100 * report['validation_accuracy']:.2f} %, test {100 * report['test_accuracy']:.2f} %, "
        f"{time.monotonic() - started:.0f} s; next: python -m converter.quantize "
        f"--model={FLAGS.out} --dataset={FLAGS.dataset} --out=plain.tflite"
    )


def main(argv: Sequence[str]) -> None:
    run("nas.retrain", argv, _body)


if __name__ == "__main__":
    define_flags()
    app.run(main)
