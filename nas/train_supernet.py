# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.train_supernet --space=mcu_32 --dataset=cifar10 --out=DIR`: trains a supernet.

Each step trains one random sub-network that fits the budget, near the last step's in size with
--sampling=complexity, or four with --sampling=sandwich.
Writes DIR/space.json, DIR/supernet.npz (averaged weights) and DIR/train.json; while it runs also
DIR/checkpoint.npz and DIR/tensorboard/. A killed training goes on with --resume: the same
sub-networks, the same batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from keras_models.datasets.identity import expect_same_classes
from keras_models.load import trained_network
from keras_models.trained_data import recorded_classes
from keras_models.training.finish import begun, expect_none_unfinished, showing
from nas import command as shared
from nas.space.presets import get_space
from nas.supernet.data import load_search_data
from nas.supernet.distribution import KINDS, START_TIMEOUT, make_distribution
from nas.supernet.initial import expect_initial
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("train_supernet", __doc__)
shared.space(FLAGS)
shared.search_data_flags(FLAGS)
flags.out(FLAGS, "Folder for the supernet.")
flags.seed(FLAGS, "Of weights, sub-networks, shuffling and augmentation.")
flags.epochs(FLAGS)
flags.initial(FLAGS, "a network, or a supernet,")
flags.teacher(FLAGS)
flags.resume(FLAGS, "Go on from the checkpoint in --out if there is one.")
flags.overwrite(FLAGS, "Discard an unfinished training in --out.")
FLAGS.enum(
    "distribution",
    "none",
    KINDS,
    "The devices of this machine (mirrored), or the processes of TF_CONFIG (multi_worker), with "
    "the same flags in all.",
)
FLAGS.number("start_timeout", START_TIMEOUT, "Seconds to wait for other workers.", 1.0)
flags.json(FLAGS)
shared.define_training_flags(FLAGS)
shared.define_target_flags(FLAGS)


def _body() -> None:
    if not 0.0 <= FLAGS.distill <= 1.0:
        raise ValueError(f"--distill={FLAGS.distill}: expected 0 to 1")
    shared.expect_share(FLAGS, FLAGS.teacher)
    space, model = get_space(FLAGS.space), shared.cost_model(FLAGS)
    recipe = shared.recipe_of_flags(FLAGS)
    distribution = make_distribution(FLAGS.distribution, FLAGS.start_timeout)
    if distribution.chief:
        expect_none_unfinished(FLAGS.out, FLAGS.resume or FLAGS.overwrite)
        expect_writable(FLAGS.json)
    if FLAGS.initial:
        expect_initial(FLAGS.initial, space)
    if FLAGS.teacher:
        trained_network(FLAGS.teacher)
    data = load_search_data(FLAGS.dataset, FLAGS.data_dir, space, FLAGS.search_fraction)
    if data.dataset.num_classes != space.num_classes:
        space = space.replace(num_classes=data.dataset.num_classes)
        print(f"classifier set to the {space.num_classes} classes of {FLAGS.dataset}")
    if FLAGS.teacher:
        names = recorded_classes(FLAGS.teacher)
        expect_same_classes(FLAGS.teacher, names, data.dataset, FLAGS.allow_other_data)
    # Here: what is refused before need not wait for TensorFlow, nor --help.
    with captured_stderr():  # which talks while it is imported, whatever its log level
        from keras_models.training.distillation import Objective
        from nas.supernet.training import SupernetJob, train

    sampling = shared.Sampling(FLAGS.sampling)
    job = SupernetJob(
        space,
        model,
        recipe,
        Objective(recipe.label_smoothing, FLAGS.distill),
        sampling.sandwich,
        FLAGS.seed,
        FLAGS.out,
        FLAGS.initial,
        FLAGS.teacher,
        FLAGS.checkpoint_every,
        sampling.levels,
    )
    command = typed_command("nas.train_supernet")
    with begun(FLAGS.out, not FLAGS.resume) if distribution.chief else contextlib.nullcontext():
        report = train(job, data, command, FLAGS.resume, distribution)
    if not distribution.chief:
        return
    if FLAGS.json:
        write_json(FLAGS.json, report)
    with showing(FLAGS.out):
        last = report["history"][-1]
        shown = [k for k in ("largest", "smallest", "random") if k in last]
        figures = (
            f"{report['steps']} steps in {report['seconds']:.0f} s, {report['compilations']} "
            f"compilations for {report['patches']} forms; validation accuracy: "
            + ", ".join(f"{k} {100 * last[k]:.2f} %" for k in shown)
        )
    print(figures)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
