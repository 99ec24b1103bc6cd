# SPDX-License-Identifier: Apache-2.0
"""Which sub-networks a supernet's steps take, compared at equal passes of sub-networks.

    python -m benchmarks.sampling_rules --epochs=24 --out=docs/results/sampling_rules.json

Each rule trains the supernet of a small space on the digits: one random sub-network a step, one
near the last step's in size (--sampling=complexity), or four (sandwich) for a quarter of the
epochs, with and without in-place distillation. Figures are top-1 accuracies on the test images: of
the largest and the smallest network that fit, and the mean of the same random ones for all rules.
It is a toy: it says whether a rule is broken, and what is noise, not which one is best elsewhere.

Predicted before it was run: the random networks' means differ by no more than two seeds of a rule
do; the sandwich's smallest network is better than the uniform rule's, its random ones are not, for
three quarters of its passes go to networks that are not random and it makes a quarter of the steps.
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

from benchmarks.versions import versions_of
from nas.command import Sampling
from nas.cost.model import CostModel
from nas.cost.targets import Target
from nas.space.presets import get_space
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

EPOCHS = 40

FLAGS = flags.FlagSet("sampling_rules", __doc__)
flags.epochs(FLAGS, f"Of rules of one sub-network a step; without it {EPOCHS}.")
_SEEDS = flags.count(FLAGS, "Trainings of each rule, with seeds 0, 1, ...", 2, 1)
flags.samples(FLAGS, 24, "Random sub-networks that are evaluated.", 2)
flags.out(FLAGS, "File of the record, gone on with.", required=False)

SPACE = "digits_8"
TARGET = Target(sram_bytes=16 * 1024, flash_bytes=64 * 1024)
PASSES = 4  # sub-networks of a sandwich step
DISTILL = 0.5
BATCH = 256


@dataclasses.dataclass(frozen=True)
class Rule:
    """How steps are made."""

    name: str
    sampling: Sampling
    distill: float = 0.0


RULES = (
    Rule("uniform", Sampling.UNIFORM),
    Rule("complexity", Sampling.COMPLEXITY),
    Rule("sandwich", Sampling.SANDWICH),
    Rule("sandwich, in-place distillation", Sampling.SANDWICH, DISTILL),
)


@dataclasses.dataclass(frozen=True)
class Trained:
    """Accuracies 0..1 of one training's sub-networks."""

    rule: str
    seed: int
    passes: int
    largest: float
    smallest: float
    random: float
    cpu_seconds: int = 0


def trained(rule: Rule, epochs: int, seed: int, samples: int) -> Trained:
    """One supernet."""
    from keras_models.training.distillation import Objective
    from keras_models.training.recipe import DIGITS
    from nas.supernet.data import load_search_data
    from nas.supernet.training import SupernetJob, Training, averaged

    space, each = get_space(SPACE), PASSES if rule.sampling.sandwich else 1
    started = time.process_time()
    epochs //= each
    recipe = dataclasses.replace(DIGITS, epochs=epochs, warmup_epochs=max(1, epochs // 10))
    with tempfile.TemporaryDirectory() as out:
        job = SupernetJob(
            space, CostModel(TARGET), recipe, Objective(recipe.label_smoothing, rule.distill),
            rule.sampling.sandwich, seed, out, levels=rule.sampling.levels,
        )  # fmt: skip
        training = Training(job, load_search_data("digits", "", space))
        training.fit()
    images, labels = training.data.arrays(training.data.dataset.test)
    panel_rng = np.random.default_rng(99)  # the same networks for all
    panel = [training.sampler.draw(panel_rng) for _ in range(samples)]
    largest, smallest = training.sampler.extremes(panel[0].form)
    with averaged(training.net, training.optimizer):
        found = [
            training.steps.accuracy(images, labels, config, BATCH)
            for config in (largest, smallest, *panel)
        ]
    passes = each * epochs * len(training.batches)
    return Trained(
        rule.name, seed, passes, found[0], found[1], float(np.mean(found[2:])),
        round(time.process_time() - started),
    )  # fmt: skip


def _known(path: str) -> list[Trained]:
    if not path or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [Trained(**row) for row in json.load(file)["trainings"]]


def _summary(rows: list[Trained]) -> dict[str, Any]:
    """Means over seeds, and the largest difference between two seeds of a rule."""
    found: dict[str, Any] = {}
    for rule in RULES:
        own = [row for row in rows if row.rule == rule.name]
        if own:
            found[rule.name] = {
                "trainings": len(own),
                **{
                    name: round(float(np.mean([getattr(row, name) for row in own])), 4)
                    for name in ("largest", "smallest", "random")
                },
                "spread_random": round(float(np.ptp([row.random for row in own])), 4),
            }
    return found


def _body() -> None:
    rows = _known(FLAGS.out)
    for seed in range(_SEEDS.value):
        for rule in RULES:
            if any((row.rule, row.seed) == (rule.name, seed) for row in rows):
                continue
            rows.append(trained(rule, FLAGS.epochs or EPOCHS, seed, FLAGS.samples))
            print(rows[-1], flush=True)
            if FLAGS.out:
                record = {
                    "command": typed_command("benchmarks.sampling_rules"),
                    "versions": versions_of("tensorflow", "keras", "numpy"),
                    "space": SPACE,
                    "target": TARGET.to_dict(),
                    "rules": _summary(rows),
                    "trainings": [dataclasses.asdict(row) for row in rows],
                }
                write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
