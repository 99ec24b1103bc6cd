# SPDX-License-Identifier: Apache-2.0
"""Fits the instructions of the kernels' pieces (tflm_custom_ops/ops/work.py) to exact counts.

    python -m benchmarks.kernels.fit

Random operators and convolutions (benchmarks/kernels/random_ops.py) are counted on the emulated
Cortex-M7; the pieces' costs are the non-negative ones with the least squares of the relative
errors. The first quarter of the operators is held out. Costs go to
tflm_custom_ops/ops/instructions.json; every operator's count, and the errors of those that were
held out, to docs/results/instruction_points.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from tqdm import tqdm

from benchmarks import conv_instructions
from benchmarks.kernels.emulator import KernelEmulator, compiler_version
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.random_ops import (
    random_convolution,
    random_inputs,
    random_merge,
    random_op,
    random_windows,
)
from benchmarks.versions import versions_of
from tflm_custom_ops.ops import Params, operator_of
from tflm_custom_ops.ops.work import TABLE, Term, Work
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

POINTS = Path(__file__).parents[2] / "docs" / "results" / "instruction_points.json"
HELD_OUT = 4  # one of so many operators, the first ones
CONVOLUTIONS = 8  # one of so many is a convolution
WINDOWS = 16  # for so many operators one more is attention on windows of a grid
MERGES = 40  # ... and for so many one more is patch merging
BIN = 0.005  # of a histogram

FLAGS = flags.FlagSet("fit", __doc__)
_OUT = flags.out(FLAGS, "The record of counts to write.", False, str(POINTS))
_TABLE = FLAGS.string("table", str(TABLE), "The table of costs to write.")
_OPERATORS = FLAGS.integer("counted_operators", 2800, "Random operators to count.", 100)
_SEED = flags.seed(FLAGS, "Of the operators.")

Array = NDArray[np.float64]
TERMS = tuple(Term)


@dataclasses.dataclass(frozen=True)
class Case:
    """Something to count: its pieces, and the run that says its instructions."""

    kind: str
    work: Work
    run: Callable[[KernelEmulator], int]


@dataclasses.dataclass(frozen=True)
class Point:
    """An operator: its pieces, and what the emulator counted."""

    kind: str
    work: Work
    instructions: int


@dataclasses.dataclass(frozen=True)
class Errors:
    """Relative errors of estimates: how many, and their mean, largest and share within 3 %."""

    points: int
    mean: float
    largest: float
    within_3_percent: float

    @classmethod
    def of(cls, estimates: Array, counts: Array) -> Errors:
        """Of some points."""
        found = np.abs(estimates / counts - 1)
        within = float((found <= 0.03).mean())
        return cls(len(found), *(round(float(v), 5) for v in (found.mean(), found.max(), within)))


def histogram(errors: Array) -> dict[str, int]:
    """How many signed relative errors lie in each bin of half a percent."""
    bins = np.floor(errors / BIN).astype(int)
    return {
        f"{100 * BIN * b:+.1f} to {100 * BIN * (b + 1):+.1f} %": int((bins == b).sum())
        for b in range(int(bins.min()), int(bins.max()) + 1)
    }


def operator_case(op: Params, rng: np.random.Generator, values: int = 0) -> Case:
    """An operator on random inputs.

    Args:
      values: of the input, where it may have any shape (random_inputs).
    """
    inputs = random_inputs(op, rng, values)
    work = operator_of(op).work_on(inputs[0].size)
    return Case(
        type(op).__name__, work, lambda core: run_operator(core, op, *inputs).call.instructions
    )


def random_case(seed: int, number: int) -> Case:
    """Number ``number`` of those of a seed."""
    rng = np.random.default_rng([seed, number])
    if number % CONVOLUTIONS:
        return operator_case(random_op(rng), rng)
    convolution, scratch = random_convolution(rng)
    return Case(
        type(convolution).__name__,
        convolution.work(scratch),
        lambda core: conv_instructions.count(core, convolution, scratch),
    )


def windows_case(seed: int, number: int) -> Case:
    """Attention on windows, of numbers behind those of `random_case`."""
    rng = np.random.default_rng([seed, number])
    return operator_case(random_windows(rng), rng)


def merge_case(seed: int, number: int) -> Case:
    """Patch merging, of numbers behind those of `windows_case`."""
    rng = np.random.default_rng([seed, number])
    return operator_case(random_merge(rng), rng)


def measure(points: int, seed: int) -> list[Point]:
    """Random operators on the emulated core, windows and merging last; a seed gives the same
    ones."""
    machine = conv_instructions.machine()
    makers = [random_case] * points
    makers += [windows_case] * (points // WINDOWS) + [merge_case] * (points // MERGES)
    found = []
    for number, make in enumerate(tqdm(makers, unit="operator", disable=None)):
        case = make(seed, number)
        found.append(Point(case.kind, case.work, case.run(machine)))
    return found


def matrix(points: Sequence[Point]) -> tuple[Array, Array]:
    """Pieces ``[points, terms]`` and counts ``[points]``."""
    pieces = np.array([p.work for p in points], np.float64)
    return pieces, np.array([p.instructions for p in points], np.float64)


def fit(points: Sequence[Point]) -> Array:
    """Instructions of each term, >= 0."""
    pieces, counts = matrix(points)
    costs, _ = nnls(pieces / counts[:, None], np.ones(len(points)), maxiter=100 * len(TERMS))
    return np.asarray(np.round(costs, 3), np.float64)


def _errors(points: Sequence[Point], costs: Array) -> dict[str, Any]:
    """Of all points and of each kind's: figures and histogram."""
    pieces, counts = matrix(points)
    estimates, kinds = pieces @ costs, np.array([p.kind for p in points])
    chosen = {"all": np.ones(len(points), bool)}
    chosen |= {str(kind): kinds == kind for kind in np.unique(kinds)}
    return {
        name: {
            **dataclasses.asdict(Errors.of(estimates[of], counts[of])),
            "histogram": histogram(estimates[of] / counts[of] - 1),
        }
        for name, of in chosen.items()
    }


def _body() -> None:
    expect_writable(_OUT.value)
    expect_writable(_TABLE.value)
    points = measure(_OPERATORS.value, _SEED.value)
    held_out = points[: _OPERATORS.value // HELD_OUT]
    costs = fit(points[len(held_out) :])
    made = {
        "command": typed_command("benchmarks.kernels.fit"),
        "seed": _SEED.value,
        "versions": {**versions_of("numpy", "scipy", "unicorn"), "gcc": compiler_version()},
    }
    table = {t.name.lower(): float(c) for t, c in zip(TERMS, costs, strict=True)}
    errors = _errors(held_out, costs)
    write_json(_TABLE.value, {**made, "instructions": table})
    write_json(
        _OUT.value,
        {
            **made,
            "held_out": len(held_out),
            "held_out_errors": errors,
            "kinds": [p.kind for p in points],
            "counts": [p.instructions for p in points],
        },
    )
    print(f"held out: {errors}")
    print(f"wrote {_TABLE.value} and {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
