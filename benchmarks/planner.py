# SPDX-License-Identifier: Apache-2.0
"""The placement of buffers on hard problems of others, and on random ones beside TFLM's greedy way.

    python -m benchmarks.planner --problems=FOLDER --json=docs/results/planner.json

FOLDER has minimalloc's CSV files, NAME.CAPACITY.csv: its repository has eleven that it calls
challenging. Of each: what the planner makes of it within the time limit, and after how long it
fits into the capacity. Every placement is checked by converter/plan/validate.py.
Seconds are of the processor, one thread, the quick orders included; the native search is compiled
before. --random_problems are planned with a small limit; none may be larger than greedy's.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import random
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.versions import versions_of
from converter.plan import heuristic, minimalloc_csv, planner
from converter.plan.problem import Buffer, Overwrite, Placement, PlanError, Problem
from converter.plan.sections import minimize, native
from converter.plan.validate import validate
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, write_json
from tflm_vit.run import run, typed_command
from toolchain import host_c

FLAGS = flags.FlagSet("planner", __doc__)
FLAGS.string("problems", "", "Folder of minimalloc's CSV files, NAME.CAPACITY.csv.")
FLAGS.integer("processes", 1, "Problems at a time, each on one thread.", 1)
FLAGS.integer("random_problems", 1000, "Random problems.", 0)
FLAGS.number("problem_limit_s", 60.0, "Processor seconds for one of --problems, about.")
flags.seed(FLAGS, "Of the searches, and the first of the random problems.")
flags.json(FLAGS)

RANDOM_LIMIT_S = 0.05
# Of the challenging set (A to K), within 60 s: what was expected before the first measurement.
# minimalloc itself: 7 within 50 s.
PREDICTED_FITTING = 8


@dataclasses.dataclass(frozen=True)
class Result:
    """One problem of others; bytes, processor seconds. ``fit_s`` None: it does not fit."""

    problem: str
    buffers: int
    capacity: int
    fit_s: float | None
    bytes: int
    seconds: float
    lower_bound: int
    proven: bool
    method: str
    greedy: int


@dataclasses.dataclass(frozen=True)
class Sample:
    """Random problems beside greedy."""

    problems: int
    smaller: int
    equal: int
    larger: int
    proven: int
    mean_share: float


def named_capacity(path: Path) -> int:
    """Of NAME.CAPACITY.csv."""
    parts = path.name.split(".")
    if len(parts) < 3 or not parts[-2].isdigit():
        raise PlanError("got no capacity in its name, expected NAME.CAPACITY.csv")
    return int(parts[-2])


def fitted(problem: Problem, capacity: int, limit_s: float, seed: int) -> float | None:
    """Processor seconds until a placement is within the capacity; None if none is found."""
    started = time.process_time()
    found = heuristic.search(problem, seed, iterations=0)
    found = minimize.within(problem, found, capacity, limit_s, seed)
    spent = time.process_time() - started
    validate(problem, found.offsets)
    return round(spent, 2) if found.arena_bytes[0] <= capacity else None


def measured(path: Path, limit_s: float, seed: int) -> Result:
    capacity = named_capacity(path)
    problem = minimalloc_csv.reads(path.read_text(encoding="utf-8"))
    started = time.process_time()
    placement = planner.place(problem, limit_s, seed)
    spent = round(time.process_time() - started, 2)
    validate(problem, placement.offsets)
    fit_s: float | None = spent  # the search ended with the smallest arena of all
    if not placement.optimal or placement.arena_bytes[0] > capacity:
        fit_s = fitted(problem, capacity, limit_s, seed)
    return Result(
        path.name.split(".")[0],
        len(problem.buffers),
        capacity,
        fit_s,
        placement.arena_bytes[0],
        spent,
        placement.lower_bound_bytes[0],
        placement.optimal,
        placement.method,
        heuristic.greedy_by_size(problem).arena_bytes[0],
    )


def random_problem(seed: int) -> Problem:
    """5 to 20 buffers of any size over a few to 20 steps; every other one with overwriting."""
    rng = random.Random(seed)
    steps = rng.randint(4, 20)
    buffers = []
    for i in range(rng.randint(5, 20)):
        lower = rng.randint(0, steps - 1)
        upper = min(steps, lower + 1 + int(rng.expovariate(0.3)))
        size = int(2 ** rng.uniform(0, 16))
        buffers.append(Buffer(f"b{i}", size, lower, upper, rng.choice((1, 16, 16))))
    overwrites = [
        Overwrite(a.id, b.id, rng.choice((None, None, rng.randint(0, 500))))
        for a in buffers
        for b in buffers
        if seed % 2 and a.lower < b.lower == a.upper - 1 and rng.random() < 0.3
    ]
    return Problem(tuple(buffers), tuple(overwrites))


def _drawn(number: int, seed: int, limit_s: float) -> tuple[float, bool]:
    """Of one random problem: its arena over greedy's, and whether it is proven."""
    problem = random_problem(number)
    greedy: Placement = heuristic.greedy_by_size(problem)
    placement = planner.place(problem, limit_s, seed)
    validate(problem, greedy.offsets)
    validate(problem, placement.offsets)
    return placement.arena_bytes[0] / greedy.arena_bytes[0], placement.optimal


def sampled(
    count: int,
    seed: int,
    limit_s: float = RANDOM_LIMIT_S,
    pool: concurrent.futures.Executor | None = None,
) -> Sample:
    """Random problems planned both ways; arenas of both are validated."""
    drawn = functools.partial(_drawn, seed=seed, limit_s=limit_s)
    numbers = range(seed, seed + count)
    found = list(pool.map(drawn, numbers, chunksize=25) if pool else map(drawn, numbers))
    shares, proven = [share for share, _ in found], sum(optimal for _, optimal in found)
    return Sample(
        count,
        sum(s < 1 for s in shares),
        sum(s == 1 for s in shares),
        sum(s > 1 for s in shares),
        proven,
        round(sum(shares) / max(1, count), 4),
    )


def _print(result: Result) -> None:
    fit = "does not fit" if result.fit_s is None else f"fits after {result.fit_s:.2f} s"
    proof = "optimal" if result.proven else f"at least {result.lower_bound:,}"
    print(
        f"{result.problem:<4} {result.buffers:>4} buffers, {fit}; {result.bytes:>12,} bytes, "
        f"{proof}, {result.seconds:.2f} s; greedy {result.greedy:,}",
        flush=True,
    )


def _named(path: Path, limit_s: float, seed: int) -> Result:
    """`measured`, whose errors name the file."""
    with naming(str(path)):
        result = measured(path, limit_s, seed)
    _print(result)
    return result


def _body() -> None:
    expect_writable(FLAGS.json)
    if FLAGS.processes == 1:
        _measure(None)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(FLAGS.processes, context) as pool:
        _measure(pool)


def _measure(pool: concurrent.futures.Executor | None) -> None:
    compiled = native.available()
    paths = sorted(Path(FLAGS.problems).glob("*.csv")) if FLAGS.problems else []
    one = functools.partial(_named, limit_s=FLAGS.problem_limit_s, seed=FLAGS.seed)
    results = list(pool.map(one, paths) if pool else map(one, paths))
    if FLAGS.problems and not results:
        raise PlanError(f"{FLAGS.problems}: no file NAME.CAPACITY.csv there; name their folder")
    fitting = sum(r.fit_s is not None for r in results)
    if results:
        print(f"{fitting} of {len(results)} fit, {PREDICTED_FITTING} predicted")
    sample = sampled(FLAGS.random_problems, FLAGS.seed, pool=pool)
    print(
        f"{sample.problems} random problems: {sample.smaller} smaller than greedy, {sample.equal} "
        f"equal, {sample.larger} larger; {sample.proven} proven; {sample.mean_share:.1%} of greedy"
    )
    if FLAGS.json:
        content = {
            "command": typed_command("benchmarks.planner"),
            "seed": FLAGS.seed,
            "cores": 1,  # of each problem
            "versions": versions_of("numpy", "ortools")
            | {"compiler": host_c().says.splitlines()[0] if compiled else "none"},
            "predicted_fitting": PREDICTED_FITTING,
            "fitting": fitting,
            "results": [dataclasses.asdict(r) for r in results],
            "random": dataclasses.asdict(sample),
        }
        write_json(FLAGS.json, content)
    if sample.larger:
        raise PlanError(f"{sample.larger} random problems are larger than greedy; a fault")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
