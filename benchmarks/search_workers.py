# SPDX-License-Identifier: Apache-2.0
"""One worker against two on one study, with the same total budget: time, and what they find.

    python -m benchmarks.search_workers --work=DIR --out=docs/results/search_workers.json

For each seed `nas.search` runs with one worker and with two, each on one processor thread. A front
is measured by its hypervolume: the share of the rectangle from no accuracy to all of it, and from
no time to the slowest network on any front, that it dominates. How far one worker's hypervolumes
for different seeds lie apart is the noise that two workers are compared with. Runs that are
complete in --work are not made again. Without --supernet one of the digits is trained first.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.versions import SEARCH_PACKAGES, versions_of
from keras_models.tasks import CLASSIFICATION
from nas import command as shared
from nas.supernet.files import WEIGHTS_FILE
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("search_workers", __doc__)
shared.supernet(FLAGS, "Without it one of the digits is trained.", False)
flags.epochs(FLAGS, "Of that training; without it 60.")
flags.dataset(FLAGS, CLASSIFICATION.datasets, "Data set of the supernet's training.", "digits")
flags.data_dir(FLAGS)
flags.work(FLAGS, "Folder for the searches.")
flags.seeds(FLAGS, 5, "Of the searches.")
shared.trials(FLAGS)
shared.population(FLAGS, 30)
flags.count(FLAGS, "Number of images of the search split; 0: all.")
FLAGS.words("limits", ["--sram=12288", "--flash=73728", "--streamed"], "Flags of nas.search.")
flags.out(FLAGS, "File of the record.", required=False)

SUPERNET_FLAGS = (
    "--space=digits_8",
    "--dataset=digits",
    "--set=mixup=0",
    "--set=mix_probability=0",
    "--set=learning_rate=4e-3",
    "--sram=16384",
    "--flash=131072",
    "--streamed",
)
THREAD_VARIABLES = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
RESULT_FILE = "run.json"

Front = list[tuple[float, float]]  # (latency in ms, accuracy), fastest first


@dataclasses.dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
      wall_seconds: of the command: start of Python and compilation included.
      search_seconds: of the search alone, in the first worker: its compilation included.
      evaluated: networks; rejected: proposals over budget.
    """

    seed: int
    workers: int
    wall_seconds: float
    search_seconds: float
    evaluated: int
    rejected: int
    front: Front


def pareto(points: Front) -> Front:
    """The points that no other one beats, fastest first."""
    front: Front = []
    for latency, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency, accuracy))
    return front


def hypervolume(front: Front, latency_limit: float) -> float:
    """Share of [0, latency_limit] x [0, 1] that a front dominates, 0..1."""
    inside = [p for p in pareto(front) if p[0] <= latency_limit]
    if not inside:
        return 0.0
    ends = [p[0] for p in inside[1:]] + [latency_limit]
    area = sum(accuracy * (end - at) for (at, accuracy), end in zip(inside, ends, strict=True))
    return area / latency_limit


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Figures of one worker against two, seed by seed and together."""
    limit = max(latency for r in runs for latency, _ in r.front)
    seeds = sorted({r.seed for r in runs})
    of = {(r.seed, r.workers): r for r in runs}
    volumes = {key: hypervolume(r.front, limit) for key, r in of.items()}
    rows = []
    for seed in seeds:
        one, two = of[seed, 1], of[seed, 2]
        union = pareto(one.front + two.front)
        rows.append(
            {
                "seed": seed,
                "hypervolume": [volumes[seed, 1], volumes[seed, 2]],
                "union_front": len(union),
                "of_union_front": [sum(p in r.front for p in union) for r in (one, two)],
                "front": [len(one.front), len(two.front)],
                "evaluated": [one.evaluated, two.evaluated],
                "wall_seconds": [one.wall_seconds, two.wall_seconds],
                "time_ratio": two.wall_seconds / one.wall_seconds,
                "search_time_ratio": two.search_seconds / one.search_seconds,
            }
        )
    ones, twos = (np.array([volumes[s, w] for s in seeds]) for w in (1, 2))
    noise = float(ones.std(ddof=1)) if len(seeds) > 1 else None
    difference = float(twos.mean() - ones.mean())
    return {
        "latency_limit_ms": limit,
        "seeds": rows,
        "hypervolume_mean": [float(ones.mean()), float(twos.mean())],
        "hypervolume_difference": difference,
        "noise_between_seeds": noise,
        # Means of n runs each differ by noise * sqrt(2 / n); twice that is no difference.
        "within_noise": None if noise is None else bool(
            abs(difference) <= 2.0 * noise * np.sqrt(2.0 / len(seeds))
        ),
        "time_ratio_mean": float(np.mean([row["time_ratio"] for row in rows])),
        "search_time_ratio_mean": float(np.mean([row["search_time_ratio"] for row in rows])),
    }  # fmt: skip


def _environment() -> dict[str, str]:
    """One thread for each process, so that a worker is a worker."""
    threads = dict.fromkeys(THREAD_VARIABLES, "1")
    return {**os.environ, **threads, "TF_CPP_MIN_LOG_LEVEL": "3"}


def _call(module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        said = [line for line in lines if line.startswith(f"{module.rpartition('.')[2]}:")]
        raise ValueError((said or [f"{module}: status {done.returncode}: {lines[-1]}"])[-1])


def _supernet() -> str:
    """The supernet to search."""
    if FLAGS.supernet:
        return str(FLAGS.supernet)
    place, epochs = os.path.join(FLAGS.work, "supernet"), FLAGS.epochs or 60
    if not os.path.exists(os.path.join(place, WEIGHTS_FILE)):
        _call("nas.train_supernet", *SUPERNET_FLAGS, f"--epochs={epochs}", f"--out={place}",
              "--resume")  # fmt: skip
    return place


def _search(supernet: str, seed: int, workers: int) -> Run:
    place = os.path.join(FLAGS.work, f"seed{seed}_workers{workers}")
    result = os.path.join(place, RESULT_FILE)
    if not os.path.exists(result):
        if os.path.exists(place):  # of a run that was killed: its time is lost
            os.rename(place, f"{place}.killed.{time.time_ns()}")
        started = time.monotonic()
        _call(
            "nas.search", f"--supernet={supernet}", f"--out={place}", f"--seed={seed}",
            f"--workers={workers}", f"--trials={FLAGS.trials}", f"--population={FLAGS.population}",
            f"--count={FLAGS.count}", f"--dataset={FLAGS.dataset}",
            f"--data_dir={FLAGS.data_dir}", *FLAGS.limits,
        )  # fmt: skip
        wall = time.monotonic() - started
        with open(os.path.join(place, "search.json"), encoding="utf-8") as file:
            report = json.load(file)
        front = [(row["latency_ms"], row["accuracy"]) for row in report["front"]]
        found = Run(
            seed, workers, wall, report["seconds_of_this_run"], report["evaluated"],
            report["rejected_over_budget"], front,
        )  # fmt: skip
        write_json(result, dataclasses.asdict(found))
        return found
    with open(result, encoding="utf-8") as file:
        data = json.load(file)
    return Run(**{**data, "front": [(a, b) for a, b in data["front"]]})


def _body() -> None:
    supernet = _supernet()
    wanted = [(int(seed), workers) for seed in FLAGS.seeds for workers in (1, 2)]
    runs = [_search(supernet, *each) for each in tqdm(wanted, unit="search")]
    figures = compare(runs)
    for row in figures["seeds"]:
        one, two = row["hypervolume"]
        print(
            f"seed {row['seed']}: {row['wall_seconds'][0]:.1f} s and {row['wall_seconds'][1]:.1f} s"
            f" (ratio {row['time_ratio']:.2f}), hypervolume {one:.4f} and {two:.4f}, "
            f"{row['of_union_front'][0]} and {row['of_union_front'][1]} of "
            f"{row['union_front']} points of the union front"
        )
    noise = figures["noise_between_seeds"]
    print(
        f"two workers take {figures['time_ratio_mean']:.2f} of the time; hypervolume "
        f"{figures['hypervolume_difference']:+.4f}"
        + ("" if noise is None else f", noise between seeds {noise:.4f}")
    )
    record = {
        "command": typed_command("benchmarks.search_workers"),
        "supernet": os.path.basename(os.path.normpath(supernet)),
        "dataset": FLAGS.dataset,
        "trials": FLAGS.trials,
        "population": FLAGS.population,
        "images": FLAGS.count,
        "limits": FLAGS.limits,
        "threads_per_worker": 1,
        "processors": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": versions_of(*SEARCH_PACKAGES),
        **figures,
        "runs": [dataclasses.asdict(r) for r in runs],
    }
    if FLAGS.out:
        write_json(FLAGS.out, record)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
