# SPDX-License-Identifier: Apache-2.0
"""``python -m converter.plan``: plans a `.tflite`, plain or fused, or a minimalloc CSV.

    python -m converter.plan --model=plain.tflite --out=planned.tflite
    python -m converter.plan --problem=problem.csv --arena=1048576 --out=solution.csv

The CSV that is written has an ``offset`` column, so that other planners' results and this one's
can be compared on the same problem.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from converter.plan import heuristic, minimalloc_csv, planner
from converter.plan.model import plan_model
from converter.plan.problem import Placement, PlanError, PlanRegion, Problem
from converter.tflite import read_model
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, read_text, write_atomic, write_json
from tflm_vit.run import run

FLAGS = flags.FlagSet("plan", __doc__)
_MODEL = flags.model(FLAGS, "Plain or fused .tflite to plan.", required=False)
_PROBLEM = FLAGS.string(
    "problem", "", "Problem as minimalloc's CSV (id,lower,upper,size[,alignment,offset])."
)
_OUT = flags.out(FLAGS, "Where the planned file goes.", required=False)
_STREAMED = flags.streamed(FLAGS)
_ARENA = flags.arena(FLAGS)
_ALIGNMENT = FLAGS.integer(
    "alignment", 1, "Of the buffers of --problem without a column of their own.", 1
)
_TIME_LIMIT = FLAGS.number(
    "time_limit_s", planner.DEFAULT_TIME_LIMIT_S, "Seconds of the exact search."
)
_SEED = flags.seed(FLAGS, "Of the search.")
_JSON = flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class Figures:
    """What planning achieved; bytes. ``gap`` is the proven distance from the best possible."""

    buffers: int
    arena_bytes: int
    lower_bound_bytes: int
    greedy_bytes: int
    optimal: bool
    gap: float
    method: str
    seconds: float


def _figures(problem: Problem, placement: Placement, seconds: float) -> Figures:
    return Figures(
        len(problem.buffers),
        sum(placement.arena_bytes),
        sum(placement.lower_bound_bytes),
        sum(heuristic.greedy_by_size(problem).arena_bytes),
        placement.optimal,
        placement.gap,
        placement.method,
        round(seconds, 3),
    )


def _plan_csv() -> tuple[Problem, Placement, bytes]:
    problem = minimalloc_csv.reads(read_text(_PROBLEM.value), _ALIGNMENT.value)
    problem = dataclasses.replace(problem, regions=(PlanRegion("memory", _ARENA.value),))
    placement = planner.place(problem, _TIME_LIMIT.value, _SEED.value)
    return problem, placement, minimalloc_csv.writes(problem, placement.offsets).encode()


def _plan_tflite() -> tuple[Problem, Placement, bytes]:
    planned = plan_model(
        read_model(_MODEL.value),
        _STREAMED.value,
        _ARENA.value,
        _TIME_LIMIT.value,
        _SEED.value,
    )
    return planned.model_problem.problem, planned.placement, planned.model_bytes


def _run() -> None:
    expect_writable(_OUT.value, _JSON.value)
    started = time.monotonic()
    problem, placement, content = _plan_csv() if _PROBLEM.value else _plan_tflite()
    figures = _figures(problem, placement, time.monotonic() - started)
    if _OUT.value:
        write_atomic(_OUT.value, content)
    if _JSON.value:
        write_json(_JSON.value, dataclasses.asdict(figures))
    proof = "optimal" if figures.optimal else f"within {figures.gap:.2%} of the lower bound"
    print(f"{figures.buffers} buffers, {figures.method}, {figures.seconds:.1f} s")
    print(f"arena        {figures.arena_bytes:>12,} bytes, {proof}")
    print(f"lower bound  {figures.lower_bound_bytes:>12,} bytes")
    print(f"greedy       {figures.greedy_bytes:>12,} bytes")


def _named() -> None:
    """`_run`, whose errors about the problem name its file."""
    if bool(_MODEL.value) == bool(_PROBLEM.value):
        raise PlanError("got no problem or two, expected either --model=FILE or --problem=FILE")
    with naming(_PROBLEM.value or _MODEL.value):
        _run()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    run(FLAGS, _named, argv)


if __name__ == "__main__":
    main()
