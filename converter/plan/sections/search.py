# SPDX-License-Identifier: Apache-2.0
"""Finds a placement within a capacity, or shows that there is none: depth first, bottom up.

Units are placed in the order of their offsets, each at the lowest offset that those below it leave:
a placement can be pushed down until it is of this kind, so that no other need be looked at. This,
dominance, hatless units and the cutting in time are of Moffitt, "MiniMalloc: A Lightweight Memory
Allocator for Hardware-Accelerated Machine Learning" (ASPLOS 2023), doi 10.1145/3623278.3624752.
The bounds are tighter than the paper's:

* *Order.* A unit that could lie below the one placed last, but was passed over, waits until a unit
  that is still to be placed comes below it: its offset is bounded from that one's (`_supported`).
  If there is none, the branch is dead.
* *Sections.* The units of a section that are not placed are jobs of a machine with release dates:
  taken by lowest offset, each begins at its lowest offset or where the one before ended. The end
  of the last may not be above the capacity (`_swept`). The paper adds all sizes to the lowest
  release date; here the holes between count as well, which in a section that is full ends a branch
  at the first byte that is lost.
* *Dominance.* No unit is placed where another would fit below it and be in nobody's way.
* *Hatless.* Another place for a unit below which and above which nothing can change is not tried.
* *Parts.* Where no unit that is left lives across a moment, the two sides are searched apart; if
  one of them fails, so does the unit that was placed last before they parted.

There is no recursion: a frame knows the frame whose last unit it depends on (`owner`), to which the
search returns when the frame is exhausted. `search.c` is the same search, step for step; the tests
compare the two.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import NamedTuple

from converter.plan.problem import align_up
from converter.plan.sections.instance import Instance


class SearchStatus(enum.IntEnum):
    """How a search ended; the numbers are search.c's."""

    NONE = 0  # no placement of the instance is within the capacity
    FOUND = 1
    LIMIT = 2  # of the work
    NO_MEMORY = 3


@dataclasses.dataclass(frozen=True)
class Order:
    """Which of several units that may begin at the same offset is tried first.

    Attributes:
      rank: of each unit, 0 first.
      total_first: units of the fullest section go before, then by rank.
    """

    rank: tuple[int, ...]
    total_first: bool


@dataclasses.dataclass(frozen=True)
class SectionResult:
    """Result of a search: offsets of the instance's units, or () without a placement."""

    status: SearchStatus
    offsets: tuple[int, ...]
    work: int


class _Part(NamedTuple):
    """Units (with their ranks) that live in sections [first, end) and are searched on their own."""

    entries: list[tuple[int, int]]
    first: int
    end: int


class _Key(NamedTuple):
    """Sorts by offset, then units that were not passed over, then by rank."""

    offset: int
    passed: bool
    rank: int
    unit: int


@dataclasses.dataclass
class _Frame:
    """A part whose next unit is chosen; what follows `candidates` is of the unit placed last."""

    owner: int
    part: _Part
    candidates: list[_Key]
    changes: int
    placed: int
    next_candidate: int = 0
    hatless: bool = False
    floor: int = 0
    floor_rank: int = -1
    parts: list[_Part] = dataclasses.field(default_factory=list)
    next_part: int = 0


class _Search:
    def __init__(self, instance: Instance, order: Order, capacity: int) -> None:
        self._alignment = instance.alignment.tolist()
        self._top, self._height = instance.top.tolist(), instance.height.tolist()
        self._fixed = instance.fixed.tolist()
        self._first, self._end = instance.first.tolist(), instance.end.tolist()
        units = range(len(instance.members))
        start, load = instance.load_start.tolist(), instance.load.tolist()
        self._load = [load[start[u] : start[u + 1]] for u in units]
        start = instance.pair_start.tolist()
        flat = list(
            zip(
                instance.pair.tolist(),
                instance.above.tolist(),
                instance.below.tolist(),
                strict=True,
            )
        )
        self._pairs = [flat[start[u] : start[u + 1]] for u in units]
        self._slack = instance.slack.tolist()
        self._most_slack = max(self._slack)
        self._order, self._capacity = order, capacity
        self.work = 0
        self.offset = [-1 for _ in units]
        self._lowest = [max(f, 0) for f in self._fixed]
        self._free = [len(p) for p in self._pairs]
        self._crossing = [0] * len(self._slack)
        for u in units:
            for t in range(self._first[u], self._end[u] - 1):
                self._crossing[t] += 1
        self._changes: list[tuple[int, int]] = []
        self._placed: list[int] = []
        whole = _Part([(u, u) for u in units], 0, len(self._slack))
        self._frames = [_Frame(0, whole, [], 0, 0)]
        self._frames[0].parts = self._split(whole, whole.entries)

    def run(self, limit: int) -> SearchStatus:
        frames, owner = self._frames, 0
        while True:
            while frames[owner].next_part == len(frames[owner].parts):
                if owner == 0:
                    return SearchStatus.FOUND
                owner = frames[owner].owner
            if self.work >= limit:
                return SearchStatus.LIMIT
            part = frames[owner].parts[frames[owner].next_part]
            frames[owner].next_part += 1
            if self._expanded(part, owner):
                owner = len(frames) - 1
            elif owner == 0:
                return SearchStatus.NONE
            else:
                self._back_to(owner)
            while frames[owner].hatless or not self._placed_next(frames[owner]):
                owner = frames[owner].owner
                if owner == 0:
                    return SearchStatus.NONE
                self._back_to(owner)

    def _put(self, unit: int, offset: int) -> None:
        self.offset[unit] = offset
        self._placed.append(unit)
        for other, above, _ in self._pairs[unit]:
            self._free[other] -= 1
            if self.offset[other] >= 0:
                continue
            lowest = align_up(offset + above, self._alignment[other])
            if lowest > self._lowest[other]:
                self._changes.append((other, self._lowest[other]))
                self._lowest[other] = lowest
        for t in range(self._first[unit], self._end[unit] - 1):
            self._crossing[t] -= 1

    def _back_to(self, number: int) -> None:
        """Undoes what was placed since the frame's last unit, that one included."""
        del self._frames[number + 1 :]
        frame = self._frames[number]
        while len(self._changes) > frame.changes:
            unit, lowest = self._changes.pop()
            self._lowest[unit] = lowest
        while len(self._placed) > frame.placed:
            unit = self._placed.pop()
            self.offset[unit] = -1
            for other, _, _ in self._pairs[unit]:
                self._free[other] += 1
            for t in range(self._first[unit], self._end[unit] - 1):
                self._crossing[t] += 1

    def _supported(self, unit: int, offset: int, floor: int) -> int | None:
        """The lowest offset of a unit that was passed over; None if nothing can come below it."""
        best = None
        for other, _, below in self._pairs[unit]:
            if self.offset[other] < 0:
                at = max(self._lowest[other], floor) + below
                best = at if best is None else min(best, at)
        return None if best is None else max(offset, align_up(max(best, 0), self._alignment[unit]))

    def _gathered(self, part: _Part, floor: int, floor_rank: int) -> tuple[list[_Key], int] | None:
        """Keys of the part's units, and the dominance bound; None if one fits nowhere."""
        keys, most = [], 2**31 - 1
        for unit, rank in part.entries:
            offset: int | None = self._lowest[unit]
            assert offset is not None
            most = min(most, offset + self._height[unit])
            passed = offset < floor or (offset == floor and rank < floor_rank)
            if passed:
                offset = self._supported(unit, offset, floor)
            if offset is None or offset + self._top[unit] > self._capacity:
                return None
            if 0 <= self._fixed[unit] < offset:
                return None
            keys.append(_Key(offset, passed, rank, unit))
        return keys, most

    def _swept(self, keys: Sequence[_Key], part: _Part) -> bool:
        """Whether each section's units, one above the other, can end within the capacity."""
        ends = [0] * len(self._slack)
        for key in keys:
            first, most = self._first[key.unit], 0
            for t, load in enumerate(self._load[key.unit], first):
                end = max(ends[t], key.offset) + load
                ends[t] = end
                most = max(most, end)
            self.work += self._end[key.unit] - first
            if most > self._capacity + self._most_slack:
                return False
        return all(ends[t] <= self._capacity + self._slack[t] for t in range(part.first, part.end))

    def _expanded(self, part: _Part, owner: int) -> bool:
        """Makes a frame for a part, unless its bounds say that it has no placement."""
        frame = self._frames[owner]
        self.work += len(part.entries)
        gathered = self._gathered(part, frame.floor, frame.floor_rank)
        if gathered is None:
            return False
        keys, most = sorted(gathered[0]), gathered[1]
        if not self._swept(keys, part):
            return False
        candidates = [k for k in keys if not k.passed and k.offset < most]
        own = part._replace(entries=[(k.unit, k.rank) for k in keys])
        self._frames.append(_Frame(owner, own, candidates, len(self._changes), len(self._placed)))
        return True

    def _placed_next(self, frame: _Frame) -> bool:
        """Places the frame's next candidate; False without one."""
        if frame.next_candidate == len(frame.candidates):
            return False
        key = frame.candidates[frame.next_candidate]
        frame.next_candidate += 1
        frame.hatless = self._free[key.unit] == 0
        self._put(key.unit, key.offset)
        frame.floor, frame.floor_rank, frame.next_part = key.offset, key.rank, 0
        rest = [entry for entry in frame.part.entries if entry[0] != key.unit]
        span = range(self._first[key.unit], self._end[key.unit] - 1)
        if any(self._crossing[t] == 0 for t in span):
            frame.floor_rank = -1
            frame.parts = self._split(frame.part, rest)
        else:
            frame.parts = [frame.part._replace(entries=rest)] if rest else []
        return True

    def _split(self, whole: _Part, rest: Sequence[tuple[int, int]]) -> list[_Part]:
        """The parts between the moments that no unit of ``rest`` crosses."""
        parts, first = [], whole.first
        for t in range(whole.first, whole.end):
            if t + 1 < whole.end and self._crossing[t]:
                continue
            entries = [e for e in rest if self._first[e[0]] >= first and self._end[e[0]] <= t + 1]
            if entries:
                parts.append(self._ranked(_Part(entries, first, t + 1)))
            first = t + 1
        return parts

    def _ranked(self, part: _Part) -> _Part:
        total = [0] * len(self._slack)
        for unit, _ in part.entries:
            for t, load in enumerate(self._load[unit], self._first[unit]):
                total[t] += load

        def key(unit: int) -> tuple[int, int]:
            peak = max(total[self._first[unit] : self._end[unit]])
            return -peak if self._order.total_first else 0, self._order.rank[unit]

        units = sorted((unit for unit, _ in part.entries), key=key)
        return part._replace(entries=[(unit, rank) for rank, unit in enumerate(units)])


def search(instance: Instance, order: Order, capacity: int, limit: int) -> SectionResult:
    """Places an instance's units within a capacity.

    Args:
      capacity: bytes, < 2 ** 30.
      limit: of the work: units and sections looked at.
    """
    run = _Search(instance, order, capacity)
    status = run.run(limit)
    return SectionResult(
        status, tuple(run.offset) if status == SearchStatus.FOUND else (), run.work
    )
