# SPDX-License-Identifier: Apache-2.0
"""Trains one architecture: `python -m keras_models.train --network=vit_digits --out=DIR`.

Writes DIR/arch.json, DIR/model.weights.h5 and DIR/train.json (command, seed, versions, accuracies);
while it runs also DIR/checkpoint.npz and DIR/tensorboard/. A killed training goes on with --resume.
Runs on whichever Keras backend KERAS_BACKEND names; the input pipeline needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Sequence
from typing import Any

from keras_models.datasets import DATASETS, Dataset, DatasetError, load_dataset
from keras_models.datasets.identity import RECORD, expect_same_classes, identity_of
from keras_models.datasets.made import write_vocabulary
from keras_models.datasets.normalization import BYTES
from keras_models.load import resolve_network, trained_network
from keras_models.questions.examples import fed
from keras_models.tasks import (
    CLASSIFICATION,
    TASKS,
    Task,
    TaskError,
    TaskScores,
    task_named,
    task_of_data,
)
from keras_models.trained_data import recorded_classes
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
    Progress,
)
from keras_models.training.finish import (
    SETUP,
    begin_result,
    begun,
    expect_none_unfinished,
    finished_report,
    showing,
    write_trained,
)
from keras_models.training.fit import (
    TrainJob,
    expect_start,
    expect_task,
    expect_teacher,
    fit,
)
from keras_models.training.precision import PRECISIONS, expect_precision
from keras_models.training.pretraining import on_fractals
from keras_models.training.recipe import Recipe, RecipeError, parse_overrides, recipe_for
from keras_models.training.setup import check_setup, setup_digest, versions
from tflm_vit import flags
from tflm_vit.files import expect_writable, expect_writable_folder, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("train", __doc__)
flags.network(FLAGS, required=True)
flags.task(FLAGS, tuple(TASKS), "What for; without it what --dataset is for.")
flags.dataset(FLAGS, DATASETS, "Data set; without it the first one of the task.")
flags.data_dir(FLAGS)
flags.out(FLAGS, "Folder for the trained network.")
flags.seed(FLAGS, "Of weights, shuffling and augmentation.")
flags.epochs(FLAGS)
flags.batch_size(FLAGS)
flags.recipe_fields(FLAGS)
flags.resume(FLAGS, "Go on from the checkpoint in --out if there is one.")
flags.overwrite(FLAGS, "Discard an unfinished training in --out.")
flags.checkpoint_every(FLAGS)
FLAGS.enum("precision", "float32", PRECISIONS, "What the training computes in.")
flags.initial(FLAGS, "the same network or a smaller one")
flags.pretrain(FLAGS, "They lie in OUT/pretrain; then from those weights.")
flags.teacher(FLAGS)
flags.distill(FLAGS)
FLAGS.number("temperature", 1.0, "Of --teacher's and the network's softmax.", 0.01, 100.0)
flags.allow_other_data(FLAGS)
flags.workers(FLAGS, 0, "Processes that read and augment batches; 0: the training does so itself.")
FLAGS.enum("jit", "auto", ["auto", "on", "off"], "Whether XLA compiles the training step.")
flags.json(FLAGS)

_JIT: dict[str, str | bool] = {"auto": "auto", "on": True, "off": False}


def _check_out(job: TrainJob, data: Dataset, resume: bool, overwrite: bool) -> None:
    """Refuses to lose or to mix up an unfinished training; changes nothing yet."""
    expect_none_unfinished(job.out, resume or overwrite)
    path = job.path(CHECKPOINT_FILE)
    if os.path.exists(path) and not overwrite:
        check_setup(path, job.setup(data))


def measured(model: Any, data: Dataset, split: str, task: Task) -> TaskScores:
    """Figures of a network on a whole split."""
    import keras
    import numpy as np

    outputs, targets = [], []
    for images, wanted in data.split(split).batches(256):
        inputs = fed(images, tuple(tuple(x.shape[1:]) for x in model.inputs))
        outputs.append(keras.ops.convert_to_numpy(model(inputs, training=False)))
        targets.append(wanted)
    return task.scores(np.concatenate(outputs), np.concatenate(targets))


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

    task = job.task
    found = {split: measured(model, data, split, task) for split in ("validation", "test")}
    return {
        "command": command,
        "seed": job.seed,
        "versions": versions(),
        "backend": keras.backend.backend(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "arch": job.arch.name,
        "params": job.arch.params,
        "macs": job.arch.macs,
        **job.named_task(),
        "dataset": job.dataset,
        RECORD: dataclasses.asdict(identity_of(data)),
        "images": {s.name: len(s) for s in (data.train, data.validation, data.test)},
        "recipe": job.recipe.tree(),
        **job.origin(),
        SETUP: setup_digest(job.setup(data)),
        "epochs": progress.epochs_done,
        "seconds": round(progress.seconds, 1),
        **{f"{split}_{task.figure}": scores.figure for split, scores in found.items()},
        **({} if task is CLASSIFICATION else {s: scores.tree() for s, scores in found.items()}),
        "history": progress.history,
    }


def train(job: TrainJob, data: Dataset, command: str, resume: bool = False) -> dict[str, Any]:
    """Trains and writes the trained directory; returns what train.json holds."""
    if resume and (ended := finished_report(job.out, job.setup(data))):
        print(f"{job.out}: this training has ended already")
        return ended
    model, progress = fit(job, data, resume)
    report = _report(job, data, model, progress, command)
    if data.vocabulary is not None:
        begin_result(job.out)
        write_vocabulary(job.out, data.vocabulary)
    write_trained(job.out, job.arch, model, report)
    return report


# ---- command line --------------------------------------------------------------------------------


def _expect_share() -> None:
    """A teacher without a share in the loss, or a share of nobody, is a mistake."""
    if bool(FLAGS.teacher) != bool(FLAGS.distill):
        given, other = (
            ("--teacher", "--distill=0.5, its share of the loss")
            if FLAGS.teacher
            else ("--distill", "--teacher=FOLDER")
        )
        raise RecipeError(f"{given} needs {other}")


def _pretrained(job: TrainJob) -> TrainJob:
    """The training from weights that learnt one fractal a class (OFDB, Nakamura et al., ICCV 2023),
    by the same recipe.

    Raises:
      RecipeError, CheckpointError: as `on_fractals`; an unfinished training from other weights.
    """
    before, data = on_fractals(job, FLAGS.pretrain)
    ended = finished_report(before.out, before.setup(data))
    if not ended:
        checkpoint = job.path(CHECKPOINT_FILE)
        if os.path.exists(checkpoint) and not FLAGS.overwrite:
            raise CheckpointError(
                f"{checkpoint} is of a training from other weights than --pretrain="
                f"{FLAGS.pretrain} makes with these flags: give the flags it was begun with, or "
                "--overwrite"
            )
        _check_out(before, data, FLAGS.resume, FLAGS.overwrite)
        with begun(before.out, FLAGS.overwrite):
            train(before, data, typed_command("keras_models.train"), FLAGS.resume)
    return dataclasses.replace(job, initial=before.out)


def _expect_splits(data: Dataset) -> None:
    """A folder of a test split alone is one to score on."""
    missing = [s.name for s in (data.train, data.validation, data.test) if not len(s)]
    if missing:
        raise DatasetError(
            f"--dataset={data.name}: --data_dir={FLAGS.data_dir} has nothing to train with: no "
            f"examples of {', '.join(missing)}; give a folder with all three splits"
        )


def _recipe(name: str, dataset: str) -> Recipe:
    changes = parse_overrides(FLAGS.set)
    for field in ("epochs", "batch_size"):
        if FLAGS[field].value is not None:
            changes[field] = FLAGS[field].value
    return recipe_for(name, dataset, **changes)


def _task() -> tuple[Task, str]:
    """The task, and the name of its data set."""
    named = FLAGS.dataset or ""
    if FLAGS.task:
        task = task_named(FLAGS.task)
    else:
        task = task_of_data(named) if named else CLASSIFICATION
    if named and named not in task.datasets:
        raise TaskError(
            f"--dataset={named} is not for --task={task.name}, expected one of "
            f"{', '.join(task.datasets)}"
        )
    return task, named or task.datasets[0]


def _job() -> tuple[TrainJob, Dataset]:
    _expect_share()
    task, dataset = _task()
    arch = resolve_network(FLAGS.network)
    recipe = _recipe(arch.name, dataset)
    expect_precision(FLAGS.precision)
    data = load_dataset(dataset, FLAGS.data_dir, image_size=arch.image_size, channels=arch.channels)
    _expect_splits(data)
    if data.train.normalization != arch.normalization:
        kind, other = (
            ("texts", "pictures") if arch.normalization == BYTES else ("pictures", "texts")
        )
        raise TaskError(f"{arch.name!r} takes {kind}, --dataset={dataset} has {other}")
    if data.num_classes != arch.num_classes:
        arch = arch.replace(num_classes=data.num_classes)
        print(f"classifier set to the {data.num_classes} classes of {dataset}")
    job = TrainJob(
        arch=arch,
        recipe=recipe,
        dataset=dataset,
        data_dir=FLAGS.data_dir,
        seed=FLAGS.seed,
        out=FLAGS.out,
        checkpoint_every=FLAGS.checkpoint_every,
        jit=_JIT[FLAGS.jit],
        precision=FLAGS.precision,
        initial=FLAGS.initial,
        teacher=FLAGS.teacher,
        distill=FLAGS.distill,
        temperature=FLAGS.temperature,
        task=task,
        workers=FLAGS.workers,
    )
    expect_task(job)
    if job.teacher:
        expect_teacher(job, data, trained_network(job.teacher))
        names = recorded_classes(job.teacher)
        expect_same_classes(job.teacher, names, data, FLAGS.allow_other_data)
    if FLAGS.pretrain:
        expect_writable_folder(job.out)
        job = _pretrained(job)
    if job.initial:
        expect_start(job)
    _check_out(job, data, FLAGS.resume, FLAGS.overwrite)
    for split in (data.train, data.validation, data.test):
        split.preload()
    return job, data


def _figures(report: dict[str, Any]) -> list[tuple[str, str]]:
    task = task_named(report.get("task", CLASSIFICATION.name))
    rows = [(split, report[f"{split}_{task.figure}"]) for split in ("validation", "test")]
    if task is CLASSIFICATION:
        return [(f"{split} accuracy", f"{100 * value:.2f} %") for split, value in rows]
    return [(f"{split} {task.figure}", f"{value:.4f}") for split, value in rows]


def _table(report: dict[str, Any], out: str) -> str:
    rows = (
        ("network", f"{report['arch']}, {report['params']:,} parameters, {report['macs']:,} MACs"),
        ("data set", f"{report['dataset']}, {report['images']}"),
        (
            "trained",
            f"{report['epochs']} epochs in {report['seconds']:.0f} s ({report['backend']})",
        ),
        *_figures(report),
        ("written to", out),
    )
    return "\n".join(f"{name:<20} {value}" for name, value in rows)


def _body() -> None:
    started = time.monotonic()
    expect_writable(FLAGS.json)
    job, data = _job()
    with begun(job.out, FLAGS.overwrite):
        report = train(job, data, typed_command("keras_models.train"), FLAGS.resume)
    if FLAGS.json:
        write_json(FLAGS.json, report)
    with showing(job.out):
        table = _table(report, job.out)
    print(table)
    print(f"{'total time':<20} {time.monotonic() - started:.0f} s")


def main(argv: Sequence[str] | None = None) -> None:
    """Trains as the flags say."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
