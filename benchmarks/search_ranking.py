# SPDX-License-Identifier: Apache-2.0
"""Does accuracy with the supernet's weights rank networks as training alone does?

    python -m benchmarks.search_ranking --supernet=S --dataset=digits --out=FILE.json --trainings=2

Draws random networks that fit, measures each on the search split with the supernet's weights and
after training from scratch (on the training images without that split) --trainings times,
and prints Spearman's rank correlation with the mean of those, beside the correlations of sizes that
cost no training (`benchmarks.baselines`) and that of the first seed's trainings with the second
one's: no ranking can be told to be better than trainings rank themselves. A training that FILE.json
has is not done again; a file of other images or another recipe is refused.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.baselines import ALONE, INHERITED, correlation, correlations, line, sizes, text
from benchmarks.versions import SEARCH_PACKAGES, versions_of
from keras_models.tasks import CLASSIFICATION
from keras_models.training.distillation import Objective
from nas import command as shared
from nas.cost.sampler import Sampler
from nas.space.any_space import AnySubnet, Searchable, parse_any_subnet
from nas.space.describe import describe
from nas.supernet.data import SearchData, load_search_data
from nas.supernet.evaluator import Evaluator, SupernetSource
from nas.supernet.files import load_supernet
from nas.supernet.retraining import RetrainJob, retrain
from nas.supernet.shared import SharedWeights
from tflm_vit import flags
from tflm_vit.files import FileError, read_json, write_json
from tflm_vit.run import run, typed_command

EACH = "alone_each"  # accuracies of a row, one for each seed; their mean is `ALONE`

FLAGS = flags.FlagSet("search_ranking", __doc__)
shared.supernet(FLAGS)
flags.dataset(FLAGS, CLASSIFICATION.datasets, "Data set of the supernet's training.", "digits")
flags.data_dir(FLAGS)
flags.samples(FLAGS, 12, "Random networks to train.", 3)
flags.out(FLAGS, "File for the figures.")
flags.seed(FLAGS, "Of networks, and of their first trainings; the next has the next seed.")
_TRAININGS = FLAGS.integer("trainings", 1, "Of each network.", 1)
flags.epochs(FLAGS)
flags.batch_size(FLAGS)
flags.recipe_fields(FLAGS)
shared.define_target_flags(FLAGS)


def _alone(net: SharedWeights, config: AnySubnet, data: SearchData, seed: int) -> float:
    """Accuracy on the search split of the network trained from scratch."""
    recipe = shared.recipe_of_flags(FLAGS)
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as work:
        job = RetrainJob(config, "scratch", recipe, Objective(recipe.label_smoothing), seed, work)
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
    twice = [row for row in rows if len(row.get(EACH, ())) > 1]
    if twice:
        pairs = [{"first": row[EACH][0], ALONE: row[EACH][1]} for row in twice]
        found["trained_again"] = correlation(pairs, "first")
    return found


def _made_of(data: SearchData) -> dict[str, Any]:
    """What the rows of one file have in common."""
    return {
        "seed": FLAGS.seed,
        "dataset": FLAGS.dataset,
        "search_images": len(data.search),
        "recipe": shared.recipe_of_flags(FLAGS).tree(),
    }


def _report(rows: list[dict[str, Any]], data: SearchData) -> dict[str, Any]:
    return {
        "command": typed_command("benchmarks.search_ranking"),
        **_made_of(data),
        **ranked(rows),
        "versions": versions_of(*SEARCH_PACKAGES),
        "rows": rows,
    }


def _known(path: str, space: Searchable, data: SearchData) -> list[dict[str, Any]]:
    """Rows of a file that this goes on with.

    Raises:
      FileError: it is of other images, another recipe or another seed.
    """
    if not os.path.exists(path):
        return []
    before = read_json(path, "a record of a ranking", FileError)
    for name, value in _made_of(data).items():
        if before[name] != value:
            raise FileError(
                f"{path}: its {name} is {before[name]}, these flags say {value}; give the flags it "
                "was begun with, or another --out"
            )
    rows: list[dict[str, Any]] = before["rows"]
    for row in rows:
        row |= sizes(space.arch(parse_any_subnet(row["config"])))  # of before there were sizes
        row.setdefault(EACH, [row[ALONE]])  # of before there were several trainings
    return rows


def _body() -> None:
    net = load_supernet(FLAGS.supernet)
    space = net.space
    sampler = Sampler(space, shared.cost_model(FLAGS), FLAGS.seed)
    data = load_search_data(FLAGS.dataset, FLAGS.data_dir, space)
    evaluate = Evaluator(SupernetSource(FLAGS.supernet, FLAGS.dataset, FLAGS.data_dir), space)
    rows = _known(FLAGS.out, space, data)
    rng = np.random.default_rng((FLAGS.seed, 5))
    for number in range(FLAGS.samples):
        config = sampler.draw(rng)
        as_json = json.loads(json.dumps(config.to_dict()))
        row = next((row for row in rows if row["config"] == as_json), None)
        if row is None:
            row = {"network": describe(space, config), **sizes(space.arch(config)), EACH: []}
            row |= {INHERITED: evaluate(config), "config": as_json}
            rows.append(row)
        for seed in range(FLAGS.seed + len(row[EACH]), FLAGS.seed + _TRAININGS.value):
            row[EACH].append(_alone(net, config, data, seed))
            row[ALONE] = float(np.mean(row[EACH]))
            write_json(FLAGS.out, _report(rows, data))
            print(
                f"{number:>3} {row[INHERITED]:.4f} {row[EACH][-1]:.4f} {row['network']}", flush=True
            )
    report = _report(rows, data)
    write_json(FLAGS.out, report)
    print(f"Spearman's rank correlation of {len(rows)} networks (95 %): {line(report)}")
    if "trained_again" in report:
        print(f"first and second training: {text('trained again', report['trained_again'])}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
