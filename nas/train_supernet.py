# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.train_supernet --space=mcu_32 --dataset=cifar10 --out=DIR`: trains a supernet.

Each step trains one random sub-network that fits the budget, or four with --sampling=sandwich.
Writes DIR/space.json, DIR/supernet.npz (averaged weights) and DIR/train.json; while it runs also
DIR/checkpoint.npz and DIR/tensorboard/. A killed training goes on with --resume: the same
sub-networks, the same batches.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import app, flags

from keras_models.datasets import DATASETS
from keras_models.training.checkpoint import (
    CHECKPOINT_FILE,
    CheckpointError,
)
from nas.command import (
    FLAGS,
    cost_model,
    define_target_flags,
    define_training_flags,
    recipe_of_flags,
    run,
    write_json,
)
from nas.space.presets import get_space
from nas.supernet.compiled import Objective
from nas.supernet.data import SEARCH_FRACTION, load_search_data
from nas.supernet.distribution import KINDS, START_TIMEOUT, make_distribution
from nas.supernet.training import Job, train
from tflm_vit.run import typed_command


def define_flags() -> None:
    flags.DEFINE_string("space", "mcu_32", "name or JSON file of a space")
    flags.DEFINE_enum("dataset", "digits", DATASETS, "data set")
    flags.DEFINE_string("data_dir", "", "folder of --dataset=image_folder or of the catalogue")
    flags.DEFINE_float("search_fraction", SEARCH_FRACTION, "share of training images for search")
    flags.DEFINE_string("out", None, "directory for the supernet", required=True)
    flags.DEFINE_integer("seed", 0, "seed of weights, sub-networks, shuffling and augmentation")
    flags.DEFINE_integer("epochs", None, "short for --set=epochs=N", lower_bound=1)
    flags.DEFINE_string("initial", "", "trained network or supernet (directory) to start from")
    flags.DEFINE_string("teacher", "", "trained directory of a plain network to imitate")
    flags.DEFINE_boolean("resume", False, "go on from the checkpoint in --out if there is one")
    flags.DEFINE_boolean("overwrite", False, "discard an unfinished training in --out")
    flags.DEFINE_enum(
        "distribution", "none", KINDS,
        "mirrored: devices of this machine; multi_worker: processes of TF_CONFIG, same flags in all"
    )  # fmt: skip
    flags.DEFINE_float("start_timeout", START_TIMEOUT, "seconds to wait for other workers", 1.0)
    flags.DEFINE_string("json", None, "also write the report (train.json) here")
    define_training_flags()
    define_target_flags()


def _check_out(out: str, resume: bool, overwrite: bool) -> None:
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, CHECKPOINT_FILE)
    if not os.path.exists(path) or resume:
        return
    if not overwrite:
        raise CheckpointError(
            f"{path} exists: give --resume to go on with that training, --overwrite to start again"
        )
    os.remove(path)


def _body() -> None:
    if not 0.0 <= FLAGS.distill <= 1.0:
        raise ValueError(f"--distill={FLAGS.distill}: expected 0 to 1")
    space, model = get_space(FLAGS.space), cost_model()
    recipe = recipe_of_flags(FLAGS.dataset)
    distribution = make_distribution(FLAGS.distribution, FLAGS.start_timeout)
    if distribution.chief:
        _check_out(FLAGS.out, FLAGS.resume, FLAGS.overwrite)
    data = load_search_data(FLAGS.dataset, FLAGS.data_dir, space, FLAGS.search_fraction)
    if data.dataset.num_classes != space.num_classes:
        space = space.replace(num_classes=data.dataset.num_classes)
        print(f"classifier set to the {space.num_classes} classes of {FLAGS.dataset}")
    job = Job(
        space,
        model,
        recipe,
        Objective(recipe.label_smoothing, FLAGS.distill),
        FLAGS.sampling == "sandwich",
        FLAGS.seed,
        FLAGS.out,
        FLAGS.initial,
        FLAGS.teacher,
        FLAGS.checkpoint_every,
    )
    command = typed_command("nas.train_supernet")
    report = train(job, data, command, FLAGS.resume, distribution)
    if not distribution.chief:
        return
    if FLAGS.json:
        write_json(FLAGS.json, report)
    last = report["history"][-1]
    shown = [k for k in ("largest", "smallest", "random") if k in last]
    print(
        f"{report['steps']} steps in {report['seconds']:.0f} s, {report['compilations']} "
        f"compilations for {report['patches']} patch embeddings; validation accuracy: "
        + ", ".join(f"{k} {100 * last[k]:.2f} %" for k in shown)
    )


def main(argv: Sequence[str]) -> None:
    run("nas.train_supernet", argv, _body)


if __name__ == "__main__":
    define_flags()
    app.run(main)
