# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.retrain --supernet=DIR --front=OUT/front.json --out=NET`: trains what was found.

Takes one network of a Pareto front, with the supernet's weights or from scratch, and trains it
alone on the whole training split, with distillation from the supernet's largest network if asked.
NET is a trained directory as `keras_models.train` writes it: the input of `converter.quantize`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from absl import app, flags

from keras_models.datasets import DATASETS, load_dataset
from nas.command import FLAGS, recipe_of_flags, run, write_json
from nas.supernet.compiled import Objective
from nas.supernet.files import load_supernet
from nas.supernet.retraining import WEIGHTS, Job, network_of, retrain, write
from tflm_vit.run import typed_command


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
        f"--network={FLAGS.out} --dataset={FLAGS.dataset} --out=plain.tflite"
    )


def main(argv: Sequence[str]) -> None:
    run("nas.retrain", argv, _body)


if __name__ == "__main__":
    define_flags()
    app.run(main)
