# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.search --supernet=DIR --dataset=cifar10 --board=stm32f746g_disco --out=OUT`.

Searches a trained supernet for the networks with the best accuracy for their latency, within hard
limits of SRAM, flash and latency. Results go into a study (OUT/study.log, or a database given with
--storage) as they are found; a killed search goes on with --resume. --workers starts several
processes on one study; processes on other machines join with the same --storage and --join.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import optuna
from tqdm import tqdm

from nas import command as shared
from nas.cost.sampler import Sampler
from nas.search.autoformer import EvolutionSettings, evolve
from nas.search.encoding import distributions
from nas.search.front import rows_of, write_front
from nas.search.lost import repeat_all
from nas.search.storage import STUDY_FILE, open_study, patiently, repair_journal
from nas.search.study import (
    EXCESS,
    Evaluated,
    Searcher,
    evaluated,
    pareto_front,
)
from nas.space.any_space import load_space
from nas.supernet.evaluator import IMAGES_SEED, Evaluator, SupernetSource
from nas.supernet.files import SPACE_FILE
from nas.supernet.initial import initial_digest
from tflm_vit import flags
from tflm_vit.files import expect_writable, expect_writable_folder, write_json
from tflm_vit.run import run, typed_command

ALGORITHMS = ("nsga2", "evolution", "random")

FLAGS = flags.FlagSet("search", __doc__)
shared.supernet(FLAGS)
shared.search_data_flags(FLAGS)
flags.count(FLAGS, "Number of images of the search split; 0: all.")
flags.out(FLAGS, "Folder for the results.")
shared.storage(FLAGS, "Without it study.log in --out.")
shared.algorithm(FLAGS, ALGORITHMS, "How networks are proposed.")
shared.trials(FLAGS)
shared.population(FLAGS, 50)
FLAGS.integer("generations", 20, "Of --algorithm=evolution.", 1)
flags.workers(FLAGS, 1, "Processes on this machine.", 1)
FLAGS.integer("join", 0, "Number of a worker that joins a running search.")
flags.seed(FLAGS, "Of the search.")
flags.resume(FLAGS, "Go on with the study.")
flags.json(FLAGS)
shared.define_target_flags(FLAGS)


def _source() -> SupernetSource:
    return SupernetSource(
        FLAGS.supernet, FLAGS.dataset, FLAGS.data_dir, FLAGS.search_fraction, FLAGS.count
    )


def _setup(sampler: Sampler, source: SupernetSource) -> str:
    """JSON of what must not change within a study."""
    return json.dumps(
        {
            "space": json.loads(sampler.space.to_json()),
            "model": sampler.model.to_dict(),
            "weights": initial_digest(source.supernet),
            "source": {**dataclasses.asdict(source), "supernet": os.path.basename(source.supernet)},
            **({"images_seed": IMAGES_SEED} if source.images else {}),
            "algorithm": FLAGS.algorithm,
            "seed": FLAGS.seed,
            "population": FLAGS.population,
        },
        sort_keys=True,
    )


def _storage() -> str:
    return FLAGS.storage or os.path.join(FLAGS.out, STUDY_FILE)


def _trials() -> int:
    if FLAGS.algorithm == "evolution":
        return FLAGS.generations * FLAGS.population  # type: ignore[no-any-return]
    return FLAGS.trials  # type: ignore[no-any-return]


def search(study: optuna.Study, sampler: Sampler, evaluator: Evaluator, worker: int) -> None:
    """Runs this process' part of the search to the end."""
    population = FLAGS.population if FLAGS.algorithm == "nsga2" else sys.maxsize
    searcher = Searcher(study, sampler, evaluator, FLAGS.seed, population, worker)
    with tqdm(total=_trials(), unit="network", disable=worker > 0) as bar:

        def on_trial(done: int) -> None:
            bar.update(min(done, bar.total) - bar.n)

        if FLAGS.algorithm == "evolution":
            settings = EvolutionSettings(
                generations=FLAGS.generations,
                population=FLAGS.population,
                mutations=FLAGS.population // 2,
                crossovers=FLAGS.population // 2,
                parents=min(10, FLAGS.population),
            )

            def score(config: Any) -> float:
                bar.update(1)
                return searcher.add(config)

            evolve(sampler, score, FLAGS.seed, settings)
        else:
            searcher.run(_trials(), on_trial)


def _start_workers(count: int) -> list[subprocess.Popen[bytes]]:
    """Processes with this command's flags that search the same study."""
    command = [sys.executable, "-m", "nas.search", *sys.argv[1:], "--resume", "--workers=1"]
    return [
        # In a group of its own: Ctrl-C is this process', which then ends them.
        subprocess.Popen([*command, f"--join={number}"], process_group=0)
        for number in range(1, count)
    ]


def _finish(study: optuna.Study, sampler: Sampler, seconds: float) -> None:
    """Writes the front and the report."""
    trials = patiently(lambda: study.get_trials(deepcopy=False))
    every = evaluated(trials)
    front = pareto_front(every)
    space = sampler.space
    rejected = sum(EXCESS in t.user_attrs for t in trials)
    title = f"{space.name}: {len(every)} networks evaluated"
    names = write_front(FLAGS.out, space, front, every, title)
    report = {
        "command": typed_command("nas.search"),
        "seed": FLAGS.seed,
        "algorithm": FLAGS.algorithm,
        "workers": FLAGS.workers,
        "space": space.name,
        "networks": sampler.census.total,
        "networks_that_fit": sampler.census.fit_both,
        "target": sampler.model.target.to_dict(),
        "evaluated": len(every),
        "rejected_over_budget": rejected,
        "seconds_of_this_run": round(seconds, 1),
        "front": rows_of(space, front),
    }
    write_json(os.path.join(FLAGS.out, "search.json"), report)
    if FLAGS.json:
        write_json(FLAGS.json, report)
    _print(front, rejected, names)


def _print(front: list[Evaluated], rejected: int, names: list[str]) -> None:
    print(
        f"{'trial':>6} {'accuracy':>9} {'ms, estimate':>13} {'SRAM':>8} {'flash':>9} "
        f"{'parameters':>10}"
    )
    for f in front:
        print(
            f"{f.number:>6} {100 * f.accuracy:>8.2f}% {f.latency_ms:>13.1f} "
            f"{f.cost['sram_bytes']:>8,} {f.cost['flash_bytes']:>9,} {f.cost['params']:>10,}"
        )
    print(f"{rejected} proposals over budget, never evaluated; wrote {', '.join(names[:3])}")


def _body() -> None:
    space = load_space(os.path.join(FLAGS.supernet, SPACE_FILE))
    sampler = Sampler(space, shared.cost_model(FLAGS), FLAGS.seed)
    sampler.census  # noqa: B018  an impossible budget is refused at once
    if FLAGS.algorithm == "evolution" and (FLAGS.workers > 1 or FLAGS.join):
        raise ValueError(
            "--algorithm=evolution: generations follow each other, give --workers=1 and no --join"
        )
    expect_writable_folder(FLAGS.out)
    expect_writable(FLAGS.json)
    source = _source()
    evaluator = Evaluator(source, space, FLAGS.allow_other_data)
    evaluator.load()  # other images than the supernet's are refused before a study is made
    if FLAGS.resume and not FLAGS.join:
        repair_journal(_storage())
    study = open_study(_storage(), _setup(sampler, source), FLAGS.resume)
    os.makedirs(FLAGS.out, exist_ok=True)
    started = time.monotonic()
    if FLAGS.join:
        search(study, sampler, evaluator, FLAGS.join)
        return
    repeated = repeat_all(study, set(distributions(space)))
    if repeated:
        print(f"{repeated} trials of a killed search were unfinished and are made again")
    workers = _start_workers(FLAGS.workers)
    try:
        search(study, sampler, evaluator, 0)
        for number, worker in enumerate(workers, 1):
            if status := worker.wait():
                print(f"worker {number} ended with status {status}", file=sys.stderr)
    finally:
        for worker in workers:
            worker.terminate()
    _finish(study, sampler, time.monotonic() - started)


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
