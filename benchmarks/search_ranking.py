# SPDX-License-Identifier: Apache-2.0
"""Does accuracy with the supernet's weights rank networks as training alone does?

    python -m benchmarks.search_ranking --supernet=DIR --dataset=digits --out=FILE.json

Draws random networks that fit, measures each on the search split with the supernet's weights and
after training from scratch (on the training images without that split), and prints Spearman's rank
correlation beside those of sizes that cost no training (`benchmarks.baselines`). A network that is
already in FILE.json is not trained again.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.baselines import correlations, line, sizes
from benchmarks.versions import SEARCH_PACKAGES, versions_of
from keras_models.tasks import CLASSIFICATION
from keras_models.training.distillation import Objective
from nas import command as shared
from nas.cost.sampler import Sampler
from nas.space.any_space import AnySubnet, parse_any_subnet
from nas.space.describe import describe
from nas.supernet.data import SearchData, load_search_data
from nas.supernet.evaluator import Evaluator, SupernetSource
from nas.supernet.files import load_supernet
from nas.supernet.retraining import RetrainJob, retrain
from nas.supernet.shared import SharedWeights
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("search_ranking", __doc__)
shared.supernet(FLAGS)
flags.dataset(FLAGS, CLASSIFICATION.datasets, "Data set of the supernet's training.", "digits")
flags.data_dir(FLAGS)
flags.samples(FLAGS, 12, "Random networks to train.", 3)
flags.out(FLAGS, "File for the figures.")
flags.seed(FLAGS, "Of networks and training.")
flags.epochs(FLAGS)
flags.batch_size(FLAGS)
flags.recipe_fields(FLAGS)
shared.define_target_flags(FLAGS)


def _alone(net: SharedWeights, config: AnySubnet, data: SearchData) -> float:
    """Accuracy on the search split of the network trained from scratch."""
    recipe = shared.recipe_of_flags(FLAGS)
    with tempfile.TemporaryDirectory() as work:
        job = RetrainJob(
            config, "scratch", recipe, Objective(recipe.label_smoothing), FLAGS.seed, work
        )
        model, _ = retrain(job, net, data.dataset)
    images, labels = data.arrays(data.search)
    logits = keras.ops.convert_to_numpy(model(images, training=False))
    return float((logits.argmax(-1) == labels).mean())


def ranked(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Correlations of all networks, and of those with and without a stem: one kind of patch
    embedding may be the better one in both accuracies, and how well is ranked within each?"""
    found = correlations(rows)
    if all("patch" in row["config"] for row in rows):
        for name, stem in (("without_stem", False), ("with_stem", True)):
            of_it = [r for r in rows if bool(r["config"]["patch"]["stem"]) is stem]
            found[name] = correlations(of_it)
    return found


def _report(rows: list[dict[str, Any]], data: SearchData) -> dict[str, Any]:
    return {
        "command": typed_command("benchmarks.search_ranking"),
        "seed": FLAGS.seed,
        "dataset": FLAGS.dataset,
        "search_images": len(data.search),
        "recipe": shared.recipe_of_flags(FLAGS).tree(),
        **ranked(rows),
        "versions": versions_of(*SEARCH_PACKAGES),
        "rows": rows,
    }


def _body() -> None:
    net = load_supernet(FLAGS.supernet)
    space = net.space
    sampler = Sampler(space, shared.cost_model(FLAGS), FLAGS.seed)
    data = load_search_data(FLAGS.dataset, FLAGS.data_dir, space)
    evaluate = Evaluator(SupernetSource(FLAGS.supernet, FLAGS.dataset, FLAGS.data_dir), space)
    rows: list[dict[str, Any]] = []
    if os.path.exists(FLAGS.out):
        with open(FLAGS.out, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
        for row in rows:  # of before there were sizes
            row |= sizes(space.arch(parse_any_subnet(row["config"])))
    known = [row["config"] for row in rows]
    rng = np.random.default_rng((FLAGS.seed, 5))
    for number in range(FLAGS.samples):
        config = sampler.draw(rng)
        as_json = json.loads(json.dumps(config.to_dict()))
        if as_json in known:
            continue
        keras.backend.clear_session()
        row = {
            "network": describe(space, config),
            **sizes(space.arch(config)),
            "inherited": evaluate(config),
            "alone": _alone(net, config, data),
            "config": as_json,
        }
        rows.append(row)
        write_json(FLAGS.out, _report(rows, data))
        print(f"{number:>3} {row['inherited']:.4f} {row['alone']:.4f} {row['network']}", flush=True)
    report = _report(rows, data)
    write_json(FLAGS.out, report)
    print(f"Spearman's rank correlation of {len(rows)} networks (95 %): {line(report)}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
