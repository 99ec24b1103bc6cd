# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.retrain --supernet=DIR --front=OUT/front.json --out=NET`: trains what was found.

Takes one network of a Pareto front, with the supernet's weights or from scratch, and trains it
alone on the whole training split, with distillation from the supernet's largest network if asked.
NET is a trained directory as `keras_models.train` writes it: the input of `converter.quantize`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from keras_models.datasets import load_dataset
from keras_models.datasets.identity import expect_same_data, identity_of
from keras_models.training.distillation import Objective
from keras_models.training.finish import (
    begun,
    expect_none_unfinished,
    finished_report,
    showing,
)
from nas import command as shared
from nas.supernet.files import load_supernet, trained_on
from nas.supernet.retraining import WEIGHTS, RetrainJob, network_of, retrain, write
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("retrain", __doc__)
shared.supernet(FLAGS)
FLAGS.string("front", "", "The file front.json that nas.search wrote.", required=True)
FLAGS.integer("trial", None, "Which network of the front; without it the most accurate.")
FLAGS.enum("start", "inherited", WEIGHTS, "Weights that training starts from.")
flags.distill(FLAGS)
flags.dataset(FLAGS, shared.DATASETS, "Data set of the supernet's training.", "digits")
flags.data_dir(FLAGS)
flags.allow_other_data(FLAGS)
flags.out(FLAGS, "Folder for the trained network.")
flags.seed(FLAGS, "Of shuffling, augmentation and new weights.")
flags.epochs(FLAGS)
flags.batch_size(FLAGS)
flags.recipe_fields(FLAGS)
flags.resume(FLAGS, "Go on from the checkpoint in --out if there is one.")
flags.overwrite(FLAGS, "Discard an unfinished training in --out.")
flags.json(FLAGS)


def _body() -> None:
    if not 0.0 <= FLAGS.distill <= 1.0:
        raise ValueError(f"--distill={FLAGS.distill}: expected 0 to 1")
    expect_none_unfinished(FLAGS.out, FLAGS.resume or FLAGS.overwrite)
    expect_writable(FLAGS.json)
    config = network_of(FLAGS.front, FLAGS.trial)
    net = load_supernet(FLAGS.supernet)
    with naming(FLAGS.front):
        net.space.check(config)
    space = net.space
    data = load_dataset(
        FLAGS.dataset, FLAGS.data_dir, image_size=space.image_size, channels=space.channels
    )
    allowed = FLAGS.allow_other_data
    expect_same_data(FLAGS.supernet, trained_on(FLAGS.supernet), identity_of(data), allowed)
    recipe = shared.recipe_of_flags(FLAGS)
    objective = Objective(recipe.label_smoothing, FLAGS.distill)
    job = RetrainJob(config, FLAGS.start, recipe, objective, FLAGS.seed, FLAGS.out)
    started = time.monotonic()
    report = finished_report(FLAGS.out, job.setup(net, data)) if FLAGS.resume else None
    if report is None:
        with begun(FLAGS.out, not FLAGS.resume):
            model, progress = retrain(job, net, data, FLAGS.resume)
        report = write(job, net, data, model, progress, typed_command("nas.retrain"))
    if FLAGS.json:
        write_json(FLAGS.json, report)
    with showing(FLAGS.out):
        figures = (
            f"{report['params']:,} parameters, {report['epochs']} epochs, validation "
            f"{100 * report['validation_accuracy']:.2f} %, "
            f"test {100 * report['test_accuracy']:.2f} %"
        )
    print(
        f"{figures}, {time.monotonic() - started:.0f} s; next: python -m converter.quantize "
        f"--network={FLAGS.out} --dataset={FLAGS.dataset} --out=plain.tflite"
    )


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
