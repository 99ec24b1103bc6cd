# SPDX-License-Identifier: Apache-2.0
"""Collects the figures of a search from the folders that its commands wrote into one file.

    python -m benchmarks.search_record --supernet=DIR --found=DIR --random=DIR --ranking=FILE \
        --retrained=DIR,... --retrained_random=DIR,... --evolution=DIR,DIR --rounds=FILE \
        --out=FILE.json

Commands are recorded with the last parts of their paths.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.search_workers import hypervolume, pareto
from benchmarks.space_evolution import without_folders
from benchmarks.versions import SEARCH_PACKAGES, versions_of
from nas import command as shared
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("search_record", __doc__)
shared.supernet(FLAGS)
shared.found(FLAGS)
FLAGS.string("random", "", "Folder of nas.search --algorithm=random.")
FLAGS.words("retrained", [], "Folders of nas.retrain, one for each seed.")
FLAGS.words("retrained_random", [], "The same for the random search.")
FLAGS.string("ranking", "", "File of benchmarks.search_ranking.")
FLAGS.words("evolution", [], "Folders of nas.evolve_space, before and after.")
FLAGS.string("rounds", "", "File of nas.evolve_space --epochs --json.")
flags.out(FLAGS, "File of the record.")


def _read(*parts: str) -> dict[str, Any]:
    with open(os.path.join(*parts), encoding="utf-8") as file:
        data = json.load(file)
    assert isinstance(data, dict)
    return data


def _trained(folder: str) -> dict[str, Any]:
    report = _read(folder, "train.json")
    kept = (
        "seed", "backend", "space", "networks", "networks_that_fit", "dataset", "images", "recipe",
        "objective", "sandwich", "target", "epochs", "steps", "seconds", "compilations", "patches",
    )  # fmt: skip
    history = report["history"]
    every = max(1, len(history) // 20)
    return {
        "command": without_folders(report["command"]),
        **{name: report[name] for name in kept},
        "steps_per_second": float(np.median([h["steps_per_second"] for h in history])),
        "curve": [{"epoch": i + 1, **h} for i, h in enumerate(history) if (i + 1) % every == 0],
    }


def _searched(folder: str, retrained: Sequence[str]) -> dict[str, Any]:
    report = _read(folder, "search.json")
    report["command"] = without_folders(report["command"])
    runs = [_read(each, "train.json") for each in retrained]
    report["retrained"] = [
        {name: r[name] for name in ("seed", "weights", "epochs", "params", "validation_accuracy",
                                    "test_accuracy")}
        for r in runs
    ]  # fmt: skip
    if runs:
        report["retrained_test_mean"] = float(np.mean([r["test_accuracy"] for r in runs]))
    return report


def _evolution(folders: Sequence[str]) -> list[dict[str, Any]]:
    steps = [_read(folder, "evolution.json") for folder in folders]
    return [
        {
            "space_before": step["before"]["name"],
            "et_error": step["et_error"],
            "mean_error": step["mean_error"],
            "top_error": step["top_error"],
            "networks": len(step["networks"]),
            "dimensions": step["dimensions"],
        }
        for step in steps
    ]


def _fronts(*rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Hypervolumes of fronts, and how many points of their union's front each has."""
    fronts = [[(r["latency_ms"], r["accuracy"]) for r in each] for each in rows]
    together = [point for front in fronts for point in front]
    limit, union = max(latency for latency, _ in together), pareto(together)
    return {
        "latency_limit_ms": limit,
        "hypervolume": [hypervolume(front, limit) for front in fronts],
        "union_front": len(union),
        "of_union_front": [sum(point in front for point in union) for front in fronts],
    }


def _body() -> None:
    record: dict[str, Any] = {"supernet": _trained(FLAGS.supernet)}
    if FLAGS.found:
        record["search"] = _searched(FLAGS.found, FLAGS.retrained)
    if FLAGS.random:
        record["random"] = _searched(FLAGS.random, FLAGS.retrained_random)
    if FLAGS.ranking:
        ranking = _read(FLAGS.ranking)
        ranking["command"] = without_folders(ranking["command"])
        record["ranking"] = ranking
    if FLAGS.evolution:
        record["evolution"] = _evolution(FLAGS.evolution)
    if FLAGS.rounds:
        steps = _read(FLAGS.rounds)
        record["steps"] = {**steps, "command": without_folders(steps["command"])}
    if FLAGS.found and FLAGS.random:
        record["fronts"] = _fronts(record["search"]["front"], record["random"]["front"])
    record["versions"] = versions_of(*SEARCH_PACKAGES)
    write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
