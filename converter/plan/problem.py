# SPDX-License-Identifier: Apache-2.0
"""The placement problem: buffers with lifetimes, and which of them may share bytes.

Time runs in operator steps: step t is the execution of operator t. A buffer lives in the half-open
interval ``[lower, upper)``, as in minimalloc's CSV. Two buffers that live in a common step must
not share a byte, unless an :class:`Overwrite` says that they may and how.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import heapq
import math
from collections.abc import Iterator, Sequence

ALIGNMENT = 16  # bytes; TensorFlow Lite Micro's MicroArenaBufferAlignment()


class PlanError(ValueError):
    """A problem that cannot be stated or solved, or a plan that is wrong; says why and where."""


@dataclasses.dataclass(frozen=True)
class Buffer:
    """One block of memory.

    Attributes:
      id: unique name.
      size_bytes: >= 0.
      lower, upper: half-open lifetime in operator steps, lower < upper.
      alignment: of the offset, bytes, >= 1.
      offset: a fixed offset, or None to let the planner choose.
      region: index into :attr:`Problem.regions`.
    """

    id: str
    size_bytes: int
    lower: int
    upper: int
    alignment: int = ALIGNMENT
    offset: int | None = None
    region: int = 0

    def __post_init__(self) -> None:
        if self.size_bytes < 0:
            raise PlanError(f"buffer {self.id}: got {self.size_bytes} bytes, expected >= 0")
        if self.lower >= self.upper:
            raise PlanError(
                f"buffer {self.id}: got lifetime [{self.lower}, {self.upper}), expected "
                "lower < upper"
            )
        if self.alignment < 1:
            raise PlanError(f"buffer {self.id}: got alignment {self.alignment}, expected >= 1")
        if self.offset is not None and (self.offset < 0 or self.offset % self.alignment):
            raise PlanError(
                f"buffer {self.id}: got fixed offset {self.offset}, expected a multiple of "
                f"{self.alignment} that is >= 0"
            )


@dataclasses.dataclass(frozen=True)
class Overwrite:
    """``after`` may share bytes with ``before`` in the one step in which ``before`` dies.

    Attributes:
      before: id of the buffer that is read and dies.
      after: id of the buffer that is written and is born in that step.
      margin_bytes: None: only at the same offset (an in-place operator). A number m: wherever
        ``offset(after) + m <= offset(before)`` (the writer stays behind the reader).
    """

    before: str
    after: str
    margin_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class PlanRegion:
    """A memory, for example DTCM; ``capacity_bytes`` None means unbounded."""

    name: str
    capacity_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Separation:
    """What two buffers (by index, first < second) that live together must satisfy.

    One of: offset(second) >= offset(first) + second_above; offset(first) >= offset(second) +
    first_above; with ``same_ok``, offset(first) == offset(second). All in bytes.
    """

    first: int
    second: int
    second_above: int
    first_above: int
    same_ok: bool


@dataclasses.dataclass(frozen=True)
class Problem:
    """Buffers to place, the overwriting that is safe, and the memories."""

    buffers: tuple[Buffer, ...]
    overwrites: tuple[Overwrite, ...] = ()
    regions: tuple[PlanRegion, ...] = (PlanRegion("arena"),)

    def __post_init__(self) -> None:
        names = [b.id for b in self.buffers]
        if len(set(names)) != len(names):
            twice = next(n for n, c in collections.Counter(names).items() if c > 1)
            raise PlanError(f"buffer {twice}: got this id twice, expected unique ids")
        for b in self.buffers:
            if not 0 <= b.region < len(self.regions):
                raise PlanError(
                    f"buffer {b.id}: got region {b.region}, expected 0..{len(self.regions) - 1}"
                )
        for o in self.overwrites:
            self._check_overwrite(o)

    def _check_overwrite(self, o: Overwrite) -> None:
        for name in (o.before, o.after):
            if name not in self.index:
                raise PlanError(f"overwrite {o.before} -> {o.after}: no buffer {name}")
        before, after = (self.buffers[self.index[name]] for name in (o.before, o.after))
        if after.lower != before.upper - 1 or before.lower >= after.lower:
            raise PlanError(
                f"overwrite {o.before} -> {o.after}: got lifetimes [{before.lower}, "
                f"{before.upper}) and [{after.lower}, {after.upper}), expected one common step, "
                "the last of the first and the first of the second"
            )
        if o.margin_bytes is not None and o.margin_bytes < 0:
            raise PlanError(
                f"overwrite {o.before} -> {o.after}: got margin {o.margin_bytes}, expected >= 0"
            )

    @functools.cached_property
    def index(self) -> dict[str, int]:
        """Position of each buffer by id."""
        return {b.id: i for i, b in enumerate(self.buffers)}

    @functools.cached_property
    def overwrite_of(self) -> dict[tuple[int, int], Overwrite]:
        """Overwrites by (index of before, index of after)."""
        return {(self.index[o.before], self.index[o.after]): o for o in self.overwrites}

    @functools.cached_property
    def lower_bound_bytes(self) -> tuple[int, ...]:
        """Per region, bytes that every placement needs (:func:`lower_bound`)."""
        return lower_bound(self)

    @functools.cached_property
    def separations(self) -> tuple[Separation, ...]:
        """The constraint of each pair of non-empty buffers that live together in one region."""
        return tuple(self._separation(i, j) for i, j in self._live_pairs())

    def _live_pairs(self) -> Iterator[tuple[int, int]]:
        order = sorted(range(len(self.buffers)), key=lambda i: self.buffers[i].lower)
        active: list[int] = []
        for j in order:
            b = self.buffers[j]
            if b.size_bytes == 0:
                continue
            active = [i for i in active if self.buffers[i].upper > b.lower]
            for i in active:
                if self.buffers[i].region == b.region:
                    yield min(i, j), max(i, j)
            active.append(j)

    def _separation(self, i: int, j: int) -> Separation:
        size_i, size_j = self.buffers[i].size_bytes, self.buffers[j].size_bytes
        over_i, over_j = self.overwrite_of.get((i, j)), self.overwrite_of.get((j, i))
        second_above, first_above = size_i, size_j
        if over_i is not None and over_i.margin_bytes is not None:
            first_above = min(first_above, over_i.margin_bytes)  # i, the one that dies, above j
        if over_j is not None and over_j.margin_bytes is not None:
            second_above = min(second_above, over_j.margin_bytes)
        same_ok = any(o is not None and o.margin_bytes is None for o in (over_i, over_j))
        return Separation(i, j, second_above, first_above, same_ok)


@dataclasses.dataclass(frozen=True)
class Placement:
    """Offsets for a :class:`Problem`.

    Attributes:
      offsets: bytes from the start of the buffer's region, in the order of ``Problem.buffers``.
      arena_bytes: per region, the end of its highest buffer.
      lower_bound_bytes: per region; no placement is smaller.
      method: how it was found.
    """

    offsets: tuple[int, ...]
    arena_bytes: tuple[int, ...]
    lower_bound_bytes: tuple[int, ...]
    method: str

    @property
    def optimal(self) -> bool:
        """Whether each region is as small as its lower bound proves possible."""
        return self.arena_bytes == self.lower_bound_bytes

    @property
    def gap(self) -> float:
        """Proven distance from the best possible: total bytes over the lower bound, minus 1."""
        bound = sum(self.lower_bound_bytes)
        return 0.0 if bound == 0 else sum(self.arena_bytes) / bound - 1.0


def part_of(problem: Problem, names: set[str], region: int) -> Problem:
    """The named buffers alone, all in the one region."""
    buffers = tuple(dataclasses.replace(b, region=0) for b in problem.buffers if b.id in names)
    overwrites = tuple(o for o in problem.overwrites if {o.before, o.after} <= names)
    return Problem(buffers, overwrites, (problem.regions[region],))


def align_up(value: int, alignment: int) -> int:
    """The smallest multiple of ``alignment`` that is >= ``value``."""
    return -(-value // alignment) * alignment


def arena_bytes(problem: Problem, offsets: Sequence[int]) -> tuple[int, ...]:
    """Per region, the end of the highest buffer."""
    tops = [0] * len(problem.regions)
    for b, offset in zip(problem.buffers, offsets, strict=True):
        tops[b.region] = max(tops[b.region], offset + b.size_bytes)
    return tuple(tops)


def _saving(problem: Problem, o: Overwrite, grid: int) -> int:
    """Most bytes that two related buffers can share in their common step."""
    before = problem.buffers[problem.index[o.before]]
    after = problem.buffers[problem.index[o.after]]
    if before.region != after.region:
        return 0
    sizes = [align_up(b.size_bytes, grid) for b in (before, after)]
    shift = align_up(o.margin_bytes or 0, grid)
    return max(0, sum(sizes) - max(sizes[1], shift + sizes[0]))


def _savings(problem: Problem, region: int, grid: int) -> dict[int, int]:
    """By step, at least as many bytes as overwriting can save in it.

    A buffer is at the same offset as one dying buffer at most, but may overlap several by margins.
    """
    same: dict[str, int] = collections.defaultdict(int)
    saved: dict[int, int] = collections.defaultdict(int)
    for o in problem.overwrites:
        after = problem.buffers[problem.index[o.after]]
        if after.region != region:
            continue
        saving = _saving(problem, o, grid)
        if o.margin_bytes is None:
            saved[after.lower] += max(0, saving - same[o.after])
            same[o.after] = max(same[o.after], saving)
        else:
            saved[after.lower] += saving
    return saved


def live_bytes(problem: Problem, region: int = 0, every_step: bool = False) -> dict[int, int]:
    """Bytes that a region needs at least in each step in which a buffer is born.

    Every offset is a multiple of the common divisor of the alignments, so that every buffer but
    the highest occupies a multiple of it. A maximum over time is reached where a buffer is born;
    ``every_step`` gives the steps between as well.
    """
    members = [b for b in problem.buffers if b.region == region and b.size_bytes > 0]
    grid = functools.reduce(math.gcd, (b.alignment for b in members), 0) or 1
    saved = _savings(problem, region, grid)
    steps = sorted({b.lower for b in members})
    if every_step and steps:
        steps = list(range(steps[0], max(b.upper for b in members)))
    need: dict[int, int] = {}
    born = collections.deque(sorted(members, key=lambda b: b.lower))
    dying: list[tuple[int, int]] = []  # (step after the last, bytes), a heap
    slacks: list[tuple[int, int]] = []  # (-slack, step after the last), a heap; the dead stay in it
    total = 0
    for step in steps:
        while born and born[0].lower <= step:
            b = born.popleft()
            occupied = align_up(b.size_bytes, grid)
            total += occupied
            heapq.heappush(dying, (b.upper, occupied))
            heapq.heappush(slacks, (b.size_bytes - occupied, b.upper))
        while dying and dying[0][0] <= step:
            total -= heapq.heappop(dying)[1]
        while slacks and slacks[0][1] <= step:
            heapq.heappop(slacks)
        slack = -slacks[0][0] if slacks else 0
        need[step] = total - slack - saved.get(step, 0)
    return need


def live_pairs(problem: Problem) -> int:
    """Pairs of buffers that live in a common step, of whatever region and size."""
    dying: list[int] = []
    found = 0
    for b in sorted(problem.buffers, key=lambda b: b.lower):
        while dying and dying[0] <= b.lower:
            heapq.heappop(dying)
        found += len(dying)
        heapq.heappush(dying, b.upper)
    return found


def lower_bound(problem: Problem) -> tuple[int, ...]:
    """Per region: peak live bytes, or the end of the highest fixed buffer if that is larger."""
    bounds = []
    for region in range(len(problem.regions)):
        fixed = [
            b.offset + b.size_bytes
            for b in problem.buffers
            if b.region == region and b.offset is not None
        ]
        bounds.append(max([0, *live_bytes(problem, region).values(), *fixed]))
    return tuple(bounds)
