# SPDX-License-Identifier: Apache-2.0
"""Fits the instructions of the kernels' pieces (tflm_custom_ops/ops/work.py) to exact counts.

    python -m benchmarks.kernels.fit --out=tflm_custom_ops/ops/instructions.json

Random operators (benchmarks/kernels/random_ops.py) are counted on the emulated Cortex-M7; the
pieces' costs are the non-negative ones with the least squares of the relative errors. A quarter of
the operators is held out, and their errors are recorded beside the costs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from tqdm import tqdm

from benchmarks.kernels import emulator
from benchmarks.kernels.emulator import CORTEX_M7, KernelEmulator, compiler_version
from benchmarks.kernels.operators import run_operator
from benchmarks.kernels.random_ops import random_input, random_op
from benchmarks.versions import versions_of
from tflm_custom_ops.ops import Params, operator_of
from tflm_custom_ops.ops.work import TABLE, Term, Work
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("fit", __doc__)
_OUT = flags.out(FLAGS, "The table to write.", False, str(TABLE))
_OPERATORS = FLAGS.integer("counted_operators", 2400, "Random operators to count.", 100)
_SEED = flags.seed(FLAGS, "Of the operators.")

Array = NDArray[np.float64]
TERMS = tuple(Term)


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


def count(machine: KernelEmulator, op: Params, rng: np.random.Generator) -> int:
    """Instructions of an operator's kernel."""
    return run_operator(machine, op, random_input(op, rng)).call.instructions


def measure(points: int, seed: int) -> list[Point]:
    """Random operators on the emulated core; the same seed gives the same ones."""
    machine = KernelEmulator(emulator.build(CORTEX_M7), CORTEX_M7)
    found = []
    for i in tqdm(range(points), unit="operator", disable=None):
        rng = np.random.default_rng([seed, i])
        op = random_op(rng)
        found.append(Point(type(op).__name__, operator_of(op).work, count(machine, op, rng)))
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
    pieces, counts = matrix(points)
    kinds = np.array([p.kind for p in points])
    by_kind = {
        str(kind): dataclasses.asdict(
            Errors.of((pieces @ costs)[kinds == kind], counts[kinds == kind])
        )
        for kind in np.unique(kinds)
    }
    return {"all": dataclasses.asdict(Errors.of(pieces @ costs, counts)), **by_kind}


def _body() -> None:
    expect_writable(_OUT.value)
    points = measure(_OPERATORS.value, _SEED.value)
    held_out = points[: len(points) // 4]
    costs = fit(points[len(held_out) :])
    report = {
        "command": typed_command("benchmarks.kernels.fit"),
        "seed": _SEED.value,
        "versions": {**versions_of("numpy", "scipy", "unicorn"), "gcc": compiler_version()},
        "fitted_operators": len(points) - len(held_out),
        "held_out_errors": _errors(held_out, costs),
        "instructions": {t.name.lower(): float(c) for t, c in zip(TERMS, costs, strict=True)},
    }
    write_json(_OUT.value, report)
    print(f"held out: {report['held_out_errors']}")
    print(f"wrote {_OUT.value}")


def main() -> None:
    """Entry point."""
    run(FLAGS, _body)


if __name__ == "__main__":
    main()
