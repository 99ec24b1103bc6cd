# SPDX-License-Identifier: Apache-2.0
"""Trains one architecture: `python -m keras_models.train --network=vit_digits --out=DIR`.

Writes DIR/arch.json, DIR/model.weights.h5 and DIR/train.json (command, seed, versions, accuracies);
while it runs also DIR/checkpoint.npz and DIR/tensorboard/. A killed training goes on with --resume.
Runs on whichever Keras backend KERAS_BACKEND names; the input pipeline needs no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import time
from collections.abc import Sequence
from typing import Any

from keras_models.arch import ArchConfig
from keras_models.datasets import DATASETS, Dataset, load_dataset
from keras_models.datasets.identity import RECORD, identity_of
from keras_models.load import ARCH_FILE, TRAIN_FILE, WEIGHTS_FILE, resolve_arch
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
    Progress,
    restore_checkpoint,
)
from keras_models.training.optimizer import make_optimizer
from keras_models.training.recipe import Recipe, parse_overrides, recipe_for
from keras_models.training.setup import check_setup, setup_text, versions
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("train", __doc__)
flags.network(FLAGS, required=True)
flags.dataset(FLAGS, DATASETS, "Data set.", "digits")
flags.data_dir(FLAGS)
flags.out(FLAGS, "Folder for the trained network.")
flags.seed(FLAGS, "Of weights, shuffling and augmentation.")
flags.epochs(FLAGS)
flags.batch_size(FLAGS)
flags.recipe_fields(FLAGS)
flags.resume(FLAGS, "Go on from the checkpoint in --out if there is one.")
flags.overwrite(FLAGS, "Discard an unfinished training in --out.")
flags.checkpoint_every(FLAGS)
FLAGS.enum("jit", "auto", ["auto", "on", "off"], "Whether XLA compiles the training step.")
flags.json(FLAGS)

_JIT: dict[str, str | bool] = {"auto": "auto", "on": True, "off": False}


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """What is to be trained, on what, how and where."""

    arch: ArchConfig
    recipe: Recipe
    dataset: str
    data_dir: str
    seed: int
    out: str
    checkpoint_every: int
    jit: str | bool

    def setup(self, data: Dataset) -> str:
        """JSON of what must not change between a kill and `--resume`."""
        return setup_text(
            data,
            arch=dataclasses.asdict(self.arch),
            recipe=dataclasses.asdict(self.recipe),
            dataset=self.dataset,
            seed=self.seed,
        )

    def path(self, name: str) -> str:
        return os.path.join(self.out, name)


def _compiled_model(job: TrainJob, steps_per_epoch: int) -> Any:
    import keras

    from keras_models.vit import build_vit

    keras.utils.set_random_seed(job.seed)
    model = build_vit(job.arch, drop_path=job.recipe.drop_path)
    model.compile(
        optimizer=make_optimizer(job.recipe, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=job.recipe.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=job.jit,
    )
    return model


def _start(job: TrainJob, data: Dataset, model: Any, resume: bool) -> Progress:
    """Restores the checkpoint if there is one to go on from."""
    path = job.path(CHECKPOINT_FILE)
    if not (resume and os.path.exists(path)):
        return Progress(0, 0.0, [], job.setup(data))
    check_setup(path, job.setup(data))
    progress = restore_checkpoint(path, model)
    print(f"resuming after epoch {progress.epochs_done} of {job.recipe.epochs}", flush=True)
    return progress


def _check_out(job: TrainJob, data: Dataset, resume: bool, overwrite: bool) -> None:
    """Refuses to lose or to mix up an unfinished training; before anything slow is done."""
    os.makedirs(job.out, exist_ok=True)
    path = job.path(CHECKPOINT_FILE)
    if not os.path.exists(path) or overwrite:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        return
    if not resume:
        raise CheckpointError(
            f"{path} exists: give --resume to go on with that training, --overwrite to start again"
        )
    check_setup(path, job.setup(data))


def fit(job: TrainJob, data: Dataset, resume: bool = False) -> tuple[Any, Progress]:
    """Trains, or goes on training; leaves the averaged weights in the model.

    Returns:
      The model for inference (no drop path) and the progress at the end.
    """
    with captured_stderr():  # TensorFlow talks while it is imported, whatever its log level
        from keras_models.training.batches import TrainBatches
        from keras_models.training.loop import train_to_the_end
        from keras_models.vit import build_vit

    recipe = job.recipe
    batches = TrainBatches(data.train, data.num_classes, recipe, job.seed, 0)
    model = _compiled_model(job, len(batches))
    start = _start(job, data, model, resume)
    progress = train_to_the_end(
        model, batches, data, recipe, start, job.out, job.seed, job.checkpoint_every
    )
    final = build_vit(job.arch)
    final.set_weights(model.get_weights())
    return final, progress


def accuracy(model: Any, data: Dataset, split: str) -> float:
    """Top-1 accuracy 0..1 on a whole split."""
    import keras
    import numpy as np

    right = 0
    for images, labels in data.split(split).batches(256):
        logits = keras.ops.convert_to_numpy(model(images, training=False))
        right += int((np.argmax(logits, axis=-1) == labels).sum())
    return right / len(data.split(split))


def _report(
    job: TrainJob, data: Dataset, model: Any, progress: Progress, command: str
) -> dict[str, Any]:
    import keras

    return {
        "command": command,
        "seed": job.seed,
        "versions": versions(),
        "backend": keras.backend.backend(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "arch": job.arch.name,
        "params": job.arch.params,
        "macs": job.arch.macs,
        "dataset": job.dataset,
        RECORD: dataclasses.asdict(identity_of(data)),
        "images": {s.name: len(s) for s in (data.train, data.validation, data.test)},
        "recipe": dataclasses.asdict(job.recipe),
        "epochs": progress.epochs_done,
        "seconds": round(progress.seconds, 1),
        "validation_accuracy": accuracy(model, data, "validation"),
        "test_accuracy": accuracy(model, data, "test"),
        "history": progress.history,
    }


def train(job: TrainJob, data: Dataset, command: str, resume: bool = False) -> dict[str, Any]:
    """Trains and writes the trained directory; returns what train.json holds."""
    model, progress = fit(job, data, resume)
    report = _report(job, data, model, progress, command)
    job.arch.save(job.path(ARCH_FILE))
    temporary = job.path(f"tmp.{WEIGHTS_FILE}")  # Keras insists on the ending
    model.save_weights(temporary)
    os.replace(temporary, job.path(WEIGHTS_FILE))
    write_json(job.path(TRAIN_FILE), report)
    with contextlib.suppress(FileNotFoundError):
        os.remove(job.path(CHECKPOINT_FILE))
    return report


# ---- command line --------------------------------------------------------------------------------


def _job() -> tuple[TrainJob, Dataset]:
    arch = resolve_arch(FLAGS.network)
    changes = parse_overrides(FLAGS.set)
    for name in ("epochs", "batch_size"):
        if FLAGS[name].value is not None:
            changes[name] = FLAGS[name].value
    data = load_dataset(
        FLAGS.dataset, FLAGS.data_dir, image_size=arch.image_size, channels=arch.channels
    )
    if data.num_classes != arch.num_classes:
        arch = arch.replace(num_classes=data.num_classes)
        print(f"classifier set to the {data.num_classes} classes of {FLAGS.dataset}")
    job = TrainJob(
        arch=arch,
        recipe=recipe_for(arch.name, **changes),
        dataset=FLAGS.dataset,
        data_dir=FLAGS.data_dir,
        seed=FLAGS.seed,
        out=FLAGS.out,
        checkpoint_every=FLAGS.checkpoint_every,
        jit=_JIT[FLAGS.jit],
    )
    _check_out(job, data, FLAGS.resume, FLAGS.overwrite)
    for split in (data.train, data.validation, data.test):
        split.preload()
    return job, data


def _table(report: dict[str, Any], out: str) -> str:
    rows = (
        ("network", f"{report['arch']}, {report['params']:,} parameters, {report['macs']:,} MACs"),
        ("data set", f"{report['dataset']}, {report['images']}"),
        (
            "trained",
            f"{report['epochs']} epochs in {report['seconds']:.0f} s ({report['backend']})",
        ),
        ("validation accuracy", f"{100 * report['validation_accuracy']:.2f} %"),
        ("test accuracy", f"{100 * report['test_accuracy']:.2f} %"),
        ("written to", out),
    )
    return "\n".join(f"{name:<20} {value}" for name, value in rows)


def _body() -> None:
    started = time.monotonic()
    expect_writable(FLAGS.json)
    job, data = _job()
    report = train(job, data, typed_command("keras_models.train"), FLAGS.resume)
    if FLAGS.json:
        write_json(FLAGS.json, report)
    print(_table(report, job.out))
    print(f"{'total time':<20} {time.monotonic() - started:.0f} s")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
