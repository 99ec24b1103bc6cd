# SPDX-License-Identifier: Apache-2.0
"""The steps of a space's evolution, from the folder that nas.evolve_space wrote."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from nas.evolution.rounds import STEPS_FILE
from tflm_vit.files import FileError, read_json, reading
from tflm_vit.records import checked

RECORD_FILE = "evolution.json"


@dataclasses.dataclass(frozen=True)
class DimensionMove:
    """One dimension in one step: choices, and mean slope of the E-T error per unit."""

    step: int
    dimension: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    slope: float


@dataclasses.dataclass(frozen=True)
class StepFigures:
    """E-T errors of a space, 0..1; None where it was not measured.

    Attributes:
      step: 0 is the space before the first step.
      space: in words; "" where only its file says it.
      control: of the old space after as much more training.
      random: of a space with as many moves at random.
    """

    step: int
    space: str
    et_error: float | None
    control: float | None = None
    random: float | None = None


@dataclasses.dataclass(frozen=True)
class EvolutionFigures:
    """An evolution."""

    algorithm: str
    steps: tuple[StepFigures, ...]
    moves: tuple[DimensionMove, ...]


def read_evolution(folder: str) -> EvolutionFigures:
    """Reads a folder of nas.evolve_space: one step, several, or MCUFormer's walk.

    Raises:
      OSError, FileError: there is no record, or it is something else.
    """
    rounds = os.path.join(folder, STEPS_FILE)
    if os.path.exists(rounds):
        with reading(rounds, "steps of nas.evolve_space"):
            return _rounds(folder, read_json(rounds)["steps"])
    path = os.path.join(folder, RECORD_FILE)
    if not os.path.exists(path):
        raise FileError(
            f"{folder}: no {RECORD_FILE} and no {STEPS_FILE}; expected a folder of nas.evolve_space"
        )
    with reading(path, "a record of nas.evolve_space"):
        record = read_json(path)
        if record["algorithm"] == "mcuformer":
            points = (
                checked(
                    StepFigures(i, f"rank ratio {p['ratio']:g}, patch {p['patch']:g}", p["error"])
                )
                for i, p in enumerate(record["points"])
            )
            return EvolutionFigures("mcuformer", tuple(points), ())
        first = checked(StepFigures(0, "", record["et_error"]))
        return EvolutionFigures("s3", (first,), _moves(1, record))


def _rounds(folder: str, rows: list[dict[str, Any]]) -> EvolutionFigures:
    before = rows[0]["error_before"]["et_error"]
    steps = [checked(StepFigures(0, rows[0]["before"], before))]
    moves: list[DimensionMove] = []
    for number, row in enumerate(rows, 1):
        beside = (row.get("error_control"), row.get("error_random"))
        errors = (None if e is None else e["et_error"] for e in beside)
        after = row["error_after"]["et_error"]
        steps.append(checked(StepFigures(number, row["after"], after, *errors)))
        record = os.path.join(folder, f"step{number}", RECORD_FILE)
        if os.path.exists(record):
            with reading(record, "a record of nas.evolve_space"):
                moves += _moves(number, read_json(record))
    return EvolutionFigures("s3", tuple(steps), tuple(moves))


def _moves(step: int, record: dict[str, Any]) -> tuple[DimensionMove, ...]:
    return tuple(
        checked(
            DimensionMove(step, d["name"], tuple(d["before"]), tuple(d["after"]),
                          sum(d["slopes"]) / max(1, len(d["slopes"])))
        )
        for d in record["dimensions"]
    )  # fmt: skip
