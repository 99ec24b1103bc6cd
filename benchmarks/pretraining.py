# SPDX-License-Identifier: Apache-2.0
"""What `--pretrain` (fractals before) brings: the same training with and without it, paired.

    python -m benchmarks.pretraining --network=vit_digits --epochs=20 --pretrain=5 --same_time \\
        --samples=4 --out=docs/results/pretraining.json

Each seed trains twice on the same images in the same order, at random weights and from those that
learnt fractals; the network without them sees fewer images, as one who has no time for fractals.
--same_time adds a third training from random weights that is longer by as many steps as the
fractals took. The gain is the mean of the seeds' differences of test accuracy, with the 95 %
interval of Student's t; a seed that the record has is not trained again.

Predicted for 20 epochs of `vit_digits` before it was run: no gain that its interval tells from 0
(1,259 pictures of 8x8 pixels hold little that edges of fractals teach), and none over the training
that is longer by as many steps.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.versions import versions_of
from keras_models.datasets import Dataset, load_dataset
from keras_models.load import resolve_network
from keras_models.tasks import CLASSIFICATION
from keras_models.train import train
from keras_models.training.fit import TrainJob
from keras_models.training.pretraining import on_fractals
from keras_models.training.recipe import parse_overrides, recipe_for
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("pretraining", __doc__)
flags.network(FLAGS, default="vit_digits")
flags.dataset(FLAGS, CLASSIFICATION.datasets, "Data set of the training.", "digits")
flags.data_dir(FLAGS)
flags.epochs(FLAGS)
flags.recipe_fields(FLAGS)
flags.pretrain(FLAGS, "", 10)
_TRAININGS = flags.samples(FLAGS, 3, "Pairs of trainings, with seeds 0, 1, ...")
flags.count(FLAGS, "Training images, drawn with the seed 0; 0: all.")
FLAGS.boolean("same_time", False, "Also train from random weights for as many steps in all.")
flags.out(FLAGS, "File of the record, gone on with.", required=False)

WITHOUT, WITH, LONGER = "without", "with", "longer"


def gain(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Points of test accuracy that `WITH` is better than `kind`: mean over seeds, 95 % interval;
    None for the interval of one seed."""
    found = [100 * (row[WITH] - row[kind]) for row in rows]
    mean, interval = float(np.mean(found)), None
    if len(found) > 1:
        half = float(stats.t.ppf(0.975, len(found) - 1) * stats.sem(found))
        interval = [mean - half, mean + half]
    return {"seeds": len(found), "points": mean, "interval": interval}


def _longer(job: TrainJob, data: Dataset, before: Dataset) -> TrainJob:
    """By as many steps as the fractals take."""
    batch = job.recipe.batch_size
    steps = FLAGS.pretrain * (len(before.train) // min(batch, len(before.train)))
    each = len(data.train) // min(batch, len(data.train))
    epochs = job.recipe.epochs + -(-steps // each)
    return dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, epochs=epochs))


def _seed(seed: int, data: Dataset, work: str) -> dict[str, Any]:
    """Test accuracies 0..1 of one seed's trainings."""
    import keras

    arch = resolve_network(FLAGS.network).replace(num_classes=data.num_classes)
    changes = parse_overrides(FLAGS.set)
    if FLAGS.epochs is not None:
        changes["epochs"] = FLAGS.epochs
    job = TrainJob(
        arch, recipe_for(arch.name, **changes), FLAGS.dataset, FLAGS.data_dir, seed,
        os.path.join(work, WITHOUT), checkpoint_every=10**6, jit=False,
    )  # fmt: skip
    before, fractals = on_fractals(
        dataclasses.replace(job, out=os.path.join(work, WITH)), FLAGS.pretrain
    )
    jobs = {WITHOUT: job, WITH: dataclasses.replace(job, out=os.path.dirname(before.out),
                                                    initial=before.out)}  # fmt: skip
    if FLAGS.same_time:
        longer = _longer(job, data, fractals)
        jobs[LONGER] = dataclasses.replace(longer, out=os.path.join(work, LONGER))
    row: dict[str, Any] = {"seed": seed}
    started, command = time.process_time(), typed_command("benchmarks.pretraining")
    told = train(before, fractals, command)
    row["fractals"] = told["validation_accuracy"]
    for kind, each in jobs.items():
        keras.backend.clear_session()
        row[kind] = train(each, data, command)["test_accuracy"]
    row["cpu_seconds"] = round(time.process_time() - started)
    return row


def _body() -> None:
    arch = resolve_network(FLAGS.network)
    data = load_dataset(
        FLAGS.dataset, FLAGS.data_dir, image_size=arch.image_size, channels=arch.channels
    )
    if FLAGS.count:
        data = dataclasses.replace(data, train=data.train.take(FLAGS.count, seed=0))
    rows: list[dict[str, Any]] = []
    if FLAGS.out and os.path.exists(FLAGS.out):
        with open(FLAGS.out, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    for seed in range(len(rows), _TRAININGS.value):
        with tempfile.TemporaryDirectory() as work:
            rows.append(_seed(seed, data, work))
        print(rows[-1], flush=True)
        record = {
            "command": typed_command("benchmarks.pretraining"),
            "versions": versions_of("tensorflow", "keras", "numpy"),
            "network": arch.name,
            "images": {s.name: len(s) for s in (data.train, data.validation, data.test)},
            "gain": {k: gain(rows, k) for k in (WITHOUT, LONGER) if k in rows[0]},
            "rows": rows,
        }
        if FLAGS.out:
            write_json(FLAGS.out, record)
        print({k: v for k, v in record.items() if k == "gain"}, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
