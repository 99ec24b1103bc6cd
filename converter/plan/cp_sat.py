# SPDX-License-Identifier: Apache-2.0
"""Exact placement with OR-tools' CP-SAT.

Variables: one offset per buffer, in units of the common divisor of the alignments; per pair of
buffers that live together, one literal for each order in memory (and one for "same offset" where
overwriting in place is declared); the end of the arena of each region, minimised. Starts from a
given placement and from the lower bound, runs on one thread with a fixed seed and a
*deterministic* time limit, so that the same problem gives the same plan on every machine that is
not slower than the wall-clock limit assumes.
"""

from __future__ import annotations

import functools
import math
import sys

import ortools
from ortools.sat.python import cp_model

from converter.plan.own_process import solved_in_own_process
from converter.plan.problem import Placement, Problem, Separation, align_up, arena_bytes

WALL_CLOCK_SLACK = 2.0  # the deterministic limit normally ends the search first
# OR-Tools 9.12 and 9.15, loaded after TensorFlow 2.21, end the process with SIGSEGV when they solve
# (seen with Python 3.13); loaded before it they do not, and 9.7 never did.
_LAST_SAFE = (9, 7)
_AFTER_TENSORFLOW = "tensorflow" in sys.modules


def solve(problem: Problem, start: Placement, time_limit_s: float, seed: int = 0) -> Placement:
    """Improves ``start``; the result's lower bound is what CP-SAT proved.

    Args:
      time_limit_s: of CP-SAT's deterministic time; about seconds.

    Raises:
      PlanError: a process of its own was needed (`_crashes_here`), and failed.
    """
    if _crashes_here():
        return solved_in_own_process(problem, start, time_limit_s, seed)
    members = [b for b in problem.buffers if b.size_bytes > 0]
    grid = functools.reduce(math.gcd, (b.alignment for b in members), 0) or 1
    model = cp_model.CpModel()
    ends = [
        model.NewIntVar(bound, top, f"end{r}")
        for r, (bound, top) in enumerate(
            zip(start.lower_bound_bytes, start.arena_bytes, strict=True)
        )
    ]
    offsets = _offset_variables(model, problem, start, grid, ends)
    for s in problem.separations:
        _add_separation(model, s, offsets, grid)
    model.Minimize(sum(ends))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.max_deterministic_time = time_limit_s
    solver.parameters.max_time_in_seconds = time_limit_s * WALL_CLOCK_SLACK
    status = solver.Solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start
    found = tuple(
        int(solver.Value(offsets[i])) * grid if b.size_bytes else start.offsets[i]
        for i, b in enumerate(problem.buffers)
    )
    arena, method = arena_bytes(problem, found), "cp-sat"
    if sum(arena) >= sum(start.arena_bytes):
        arena, found, method = start.arena_bytes, start.offsets, start.method
    return Placement(found, arena, _proven(solver, status, start, arena), method)


def _crashes_here() -> bool:
    """Whether this process has TensorFlow and OR-Tools in the order that does not work."""
    version = tuple(int(word) for word in ortools.__version__.split(".")[:2])
    return _AFTER_TENSORFLOW and version > _LAST_SAFE


def _offset_variables(
    model: cp_model.CpModel,
    problem: Problem,
    start: Placement,
    grid: int,
    ends: list[cp_model.IntVar],
) -> dict[int, cp_model.LinearExpr]:
    """Offsets in units of ``grid``, by buffer index, of the buffers that are not empty."""
    offsets: dict[int, cp_model.LinearExpr] = {}
    for i, b in enumerate(problem.buffers):
        if not b.size_bytes:
            continue
        low, high = 0, max(0, start.arena_bytes[b.region] - b.size_bytes) // b.alignment
        if b.offset is not None:
            low = high = b.offset // b.alignment
        variable = model.NewIntVar(low, high, b.id)
        model.AddHint(variable, start.offsets[i] // b.alignment)
        offsets[i] = variable * (b.alignment // grid)
        model.Add(variable * b.alignment + b.size_bytes <= ends[b.region])
    return offsets


def _add_separation(
    model: cp_model.CpModel, s: Separation, offsets: dict[int, cp_model.LinearExpr], grid: int
) -> None:
    first, second = offsets[s.first], offsets[s.second]
    above = model.NewBoolVar("")
    below = model.NewBoolVar("") if s.same_ok else above.Not()
    up, down = (align_up(d, grid) // grid for d in (s.second_above, s.first_above))
    model.Add(second >= first + up).OnlyEnforceIf(above)
    model.Add(first >= second + down).OnlyEnforceIf(below)
    if s.same_ok:
        same = model.NewBoolVar("")
        model.Add(first == second).OnlyEnforceIf(same)
        model.AddBoolOr([above, below, same])


def _proven(
    solver: cp_model.CpSolver, status: int, start: Placement, arena: tuple[int, ...]
) -> tuple[int, ...]:
    """The best bound per region; CP-SAT bounds the sum, which is exact for one region."""
    if status == cp_model.OPTIMAL:
        return arena
    if len(arena) > 1:
        return start.lower_bound_bytes
    return (max(start.lower_bound_bytes[0], math.ceil(solver.BestObjectiveBound())),)
