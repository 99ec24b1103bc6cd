# SPDX-License-Identifier: Apache-2.0
"""A placement problem of one region by *sections*: times in which nothing is born or dies.

In a section the same units live throughout. Those of them that are not placed yet have to lie one
above the other there, which bounds the arena from below (:mod:`converter.plan.sections.search`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converter.plan.problem import Problem, align_up
from converter.plan.units import Unit, neighbours_of

MOST_UNITS = 1000  # the native search's frames take 36 * units ** 2 bytes
MOST_BYTES = 2**30  # of all units together: sums of offsets stay in int32

Ints = NDArray[np.int32]


@dataclasses.dataclass(frozen=True, eq=False)
class Instance:
    """Units as the search sees them; int32 arrays, bytes.

    Attributes:
      members: index of each unit in the problem's units; those without a byte are left out.
      alignment: of each unit's offset.
      top: the end of its highest buffer, from its own offset.
      height: from this distance on, nothing above the unit is in its way.
      fixed: its offset, or -1.
      first, end: the sections in which it lives, half-open. A unit whose buffers leave a gap in
        time has no load there.
      load_start, load: bytes that it takes from each of its sections: load[load_start[u] + t] in
        section first[u] + t. Nothing is counted that an overwrite may save.
      pair_start, pair, above, below: the units that it must be apart from, from pair_start[u] to
        pair_start[u + 1]. offset[pair] >= offset[u] + above, or offset[u] >= offset[pair] + below.
      slack: per section, by how much the end of the highest buffer may be less than it counts for
        as loads are rounded up to the common divisor of the alignments.
      lifetime, area: steps, and bytes times steps, of each unit, for the order of the search.
      complete: whether the units' placements are all of the problem's. False where overwriting is
        declared: then units are rigid, or kept apart, by choice.
    """

    members: tuple[int, ...]
    alignment: Ints
    top: Ints
    height: Ints
    fixed: Ints
    first: Ints
    end: Ints
    load_start: Ints
    load: Ints
    pair_start: Ints
    pair: Ints
    above: Ints
    below: Ints
    slack: Ints
    lifetime: tuple[int, ...]
    area: tuple[int, ...]
    complete: bool

    @property
    def evaluation(self) -> int:
        """Work of looking at every unit once."""
        return len(self.members) + len(self.load)


def instance_of(problem: Problem, units: Sequence[Unit]) -> Instance | None:
    """The instance of a problem of one region; None if it is empty or too large for the search."""
    buffers = problem.buffers
    members = [
        u for u, unit in enumerate(units) if any(buffers[i].size_bytes for i, _ in unit.members)
    ]
    top = [max(d + buffers[i].size_bytes for i, d in units[u].members) for u in members]
    fixed = [-1 if (f := units[u].fixed) is None else f for u in members]
    total = sum(top) + sum(units[u].alignment for u in members) + max([0, *fixed])
    if not members or len(members) > MOST_UNITS or total > MOST_BYTES:
        return None
    pairs = _pairs(problem, units, members)
    loads = _Loads(problem, units, members)
    height = [max([t, *(a for _, a, _ in p)]) for t, p in zip(top, pairs, strict=True)]
    flat = [pair for list_of in pairs for pair in list_of]
    return Instance(
        members=tuple(members),
        alignment=_ints(units[u].alignment for u in members),
        top=_ints(top),
        height=_ints(height),
        fixed=_ints(fixed),
        first=_ints(loads.first),
        end=_ints(loads.end),
        load_start=_starts(loads.loads),
        load=_ints(itertools.chain(*loads.loads)),
        pair_start=_starts(pairs),
        pair=_ints(p for p, _, _ in flat),
        above=_ints(a for _, a, _ in flat),
        below=_ints(b for _, _, b in flat),
        slack=_ints(loads.slack),
        lifetime=tuple(_lifetime(problem, units[u]) for u in members),
        area=tuple(_area(problem, units[u]) for u in members),
        complete=not problem.overwrites,
    )


def _ints(values: object) -> Ints:
    return np.array(list(values), np.int32)  # type: ignore[call-overload, no-any-return]


def _starts(lists: Sequence[Sequence[object]]) -> Ints:
    return _ints(itertools.accumulate(map(len, lists), initial=0))


def _lifetime(problem: Problem, unit: Unit) -> int:
    alive = [problem.buffers[i] for i, _ in unit.members]
    return max(b.upper for b in alive) - min(b.lower for b in alive)


def _area(problem: Problem, unit: Unit) -> int:
    alive = [problem.buffers[i] for i, _ in unit.members]
    return sum(b.size_bytes * (b.upper - b.lower) for b in alive)


def _pairs(
    problem: Problem, units: Sequence[Unit], members: Sequence[int]
) -> list[list[tuple[int, int, int]]]:
    """Per member (another member, how far that must be above, how far below)."""
    place = {u: m for m, u in enumerate(members)}
    apart = neighbours_of(problem, units)
    # A Neighbour's `above` is the unit's own distance above the other: `below` here.
    return [[(place[n.unit], n.below, n.above) for n in apart[u]] for u in members]


class _Loads:
    """What each unit takes from each section."""

    def __init__(self, problem: Problem, units: Sequence[Unit], members: Sequence[int]) -> None:
        self._problem = problem
        alive = [b for b in problem.buffers if b.size_bytes]
        self._grid = functools.reduce(math.gcd, (b.alignment for b in alive), 0)
        times = sorted({t for b in alive for t in (b.lower, b.upper)})
        self._section = {t: s for s, t in enumerate(times)}
        self.slack = [0] * (len(times) - 1)
        self.first: list[int] = []
        self.end: list[int] = []
        self.loads: list[list[int]] = []
        unit_of = {i: u for u in members for i, _ in units[u].members}
        # In its last step, a buffer that another unit may overwrite takes nothing for certain.
        self._saved = {
            problem.index[o.before]
            for o in problem.overwrites
            if unit_of.get(problem.index[o.before]) != unit_of.get(problem.index[o.after])
        }
        for u in members:
            self._add(units[u])

    def _add(self, unit: Unit) -> None:
        windows: dict[int, list[tuple[int, int]]] = {}
        for i, delta in unit.members:
            b = self._problem.buffers[i]
            if not b.size_bytes:
                continue
            size = align_up(b.size_bytes, self._grid)
            first, end = self._section[b.lower], self._section[b.upper]
            for t in range(first, end):
                kept = not (i in self._saved and t == end - 1)
                windows.setdefault(t, []).append((delta, delta + size if kept else delta))
                self.slack[t] = max(self.slack[t], size - b.size_bytes)
        first, end = min(windows), max(windows) + 1
        self.first.append(first)
        self.end.append(end)
        self.loads.append([_union(windows.get(t, [])) for t in range(first, end)])


def _union(windows: Sequence[tuple[int, int]]) -> int:
    """Bytes in any of the windows."""
    total, reached = 0, 0
    for low, high in sorted(windows):
        total += max(0, high - max(low, reached))
        reached = max(reached, high)
    return total
