# SPDX-License-Identifier: Apache-2.0
"""The smallest arena that the search by sections finds: an outer loop over capacities.

    repeat, each time with twice the work for one search:
        try the lower bound, then halve the distance to the best arena known:
            search in the orders TWA, TAW and WAT of the MiniMalloc paper, then with lifetimes and
            areas multiplied by random factors
    until the lower bound is met or the work is used up

A search that ends without a placement proves that its capacity is too small, so that the loop
raises the lower bound as well. Work is counted, not timed: the same seed gives the same plan.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence

from converter.plan.heuristic import as_placement
from converter.plan.problem import Placement, Problem
from converter.plan.sections import native
from converter.plan.sections.instance import Instance, instance_of
from converter.plan.sections.search import Order, SearchStatus, SectionResult, search
from converter.plan.units import Unit, unit_choices

NATIVE_WORK_PER_S = 400_000_000  # units and sections looked at; rather too few
PYTHON_WORK_PER_S = 2_000_000
FIRST_EVALUATIONS = 64  # of the first search, in units of looking at everything once
MOST_WORK = 1_000_000_000  # of one search: seconds
ORDERS = ("TWA", "TAW", "WAT")  # T: fullest section, W: lifetime, A: area; largest first
ROUNDS = 3  # of orders: the paper's, and two at random
SPREAD = 0.3  # of the random factors


def improve(
    problem: Problem,
    start: Placement,
    time_limit_s: float,
    seed: int = 0,
    capacity: int | None = None,
) -> Placement:
    """A placement no larger than ``start``, with the bound that was proven.

    Args:
      problem: of one region.
      time_limit_s: about; counted in work.
      capacity: bytes that a smaller arena has to reach first, None for no such wish.
    """
    best = start
    for loop, work in _loops(problem, time_limit_s, seed):
        best = loop.run(best, work, capacity)
    return best


def within(
    problem: Problem, start: Placement, capacity: int, time_limit_s: float, seed: int = 0
) -> Placement:
    """The first placement found whose arena is within the capacity; ``start`` without one."""
    best = start
    for loop, work in _loops(problem, time_limit_s, seed):
        best = loop.run(best, work, capacity, stop=True)
    return best


def _loops(problem: Problem, time_limit_s: float, seed: int) -> Iterator[tuple[_Loop, int]]:
    """A loop, with its work, for each choice of units."""
    rate = NATIVE_WORK_PER_S if native.available() else PYTHON_WORK_PER_S
    choices = unit_choices(problem)
    for units in choices:
        instance = instance_of(problem, units)
        if instance is not None:
            work = int(rate * time_limit_s / len(choices))
            yield _Loop(problem, units, instance, seed), work


def orders(instance: Instance, seed: int) -> Iterator[Iterator[Order]]:
    """Rounds of orders, without end: the paper's, then random ones, and again."""
    rng = random.Random(seed)
    while True:
        yield _round(instance, None)
        for _ in range(ROUNDS - 1):
            yield _round(instance, rng)


def _round(instance: Instance, rng: random.Random | None) -> Iterator[Order]:
    units = range(len(instance.members))
    for name in ORDERS:
        keys = []
        for letter in name.replace("T", ""):
            values = instance.lifetime if letter == "W" else instance.area
            factors = [1 + SPREAD * (rng.random() - 0.5) if rng else 1.0 for _ in units]
            keys.append([-v * f for v, f in zip(values, factors, strict=True)])
        ranked = sorted(units, key=lambda u, keys=keys: (keys[0][u], keys[1][u]))  # type: ignore[misc]
        rank = [0] * len(ranked)
        for place, u in enumerate(ranked):
            rank[u] = place
        yield Order(tuple(rank), name.startswith("T"))


class _Loop:
    """The outer loop for one choice of units."""

    def __init__(
        self,
        problem: Problem,
        units: Sequence[Unit],
        instance: Instance,
        seed: int,
    ) -> None:
        self._problem, self._units, self._instance = problem, units, instance
        self._search = native.search if native.available() else search
        self._orders = orders(instance, seed)
        self._best: Placement
        self._low = 0  # no smaller arena can be, or can be had of these units
        self._work = 0

    def run(
        self, start: Placement, work: int, capacity: int | None, stop: bool = False
    ) -> Placement:
        """Improves ``start``; to the capacity first, and no further if it is to stop there."""
        self._best, self._low, self._work = start, start.lower_bound_bytes[0], work
        limit = FIRST_EVALUATIONS * self._instance.evaluation
        while self._work > 0 and self._low < self._best.arena_bytes[0]:
            if capacity is not None and self._low <= capacity < self._best.arena_bytes[0]:
                self._try(capacity, limit, ROUNDS)
            elif stop:
                break
            else:
                self._halve(limit)
            limit = min(2 * limit, MOST_WORK)
        bound = self._low if self._instance.complete else start.lower_bound_bytes[0]
        return dataclasses.replace(self._best, lower_bound_bytes=(bound,))

    def _halve(self, limit: int) -> None:
        """One round: from the lower bound up, half the way to the best arena each time."""
        low, rounds = self._low, ROUNDS
        while self._work > 0 and low < (high := self._best.arena_bytes[0]):
            target = low if rounds == ROUNDS else (low + high - 1) // 2
            if not self._try(target, limit, rounds):
                low = max(target + 1, self._low)
            rounds = 1

    def _try(self, capacity: int, limit: int, rounds: int) -> bool:
        """Whether a search finds a placement within the capacity."""
        for _ in range(rounds):
            for order in next(self._orders):
                if self._work <= 0:
                    return False
                found = self._search(self._instance, order, capacity, min(limit, self._work))
                self._work -= found.work
                if found.status == SearchStatus.FOUND:
                    placement = self._placement(found)
                    self._best = min(self._best, placement, key=lambda p: p.arena_bytes)
                    return placement.arena_bytes[0] <= capacity  # False: by empty buffers
                if found.status == SearchStatus.NONE:
                    self._low = max(self._low, capacity + 1)
                    return False
        return False

    def _placement(self, found: SectionResult) -> Placement:
        offsets = [unit.fixed or 0 for unit in self._units]
        for u, offset in zip(self._instance.members, found.offsets, strict=True):
            offsets[u] = offset
        return as_placement(self._problem, self._units, offsets, "sections")
