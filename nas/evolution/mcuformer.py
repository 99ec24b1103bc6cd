# SPDX-License-Identifier: Apache-2.0
"""MCUFormer's evolution of a space: over pairs of (rank ratio, patch size).

A pair stands for the sub-networks of a space that have it. Its objective is the E-T error of random
ones that fit the budget plus the share of them that is over the SRAM limit (exact, from the
census). From some random pairs on, planes through the nearest visited pairs say where both fall,
and the next pair is one choice further that way (`nas.evolution.planes`; the released code goes the
other way). The supernet holds all pairs, so that nothing is trained in between.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas.cost.census import take_census
from nas.cost.sampler import Sampler
from nas.evolution.planes import Axis, Point, next_point
from nas.evolution.s3 import Step, et_error
from nas.png import png
from nas.space import Patch, SearchSpace, SpaceError
from nas.space.any_space import AnySubnet, expect_one_stage
from tflm_vit.files import write_atomic

ERROR_PER_RANGE = 0.02  # change of the E-T error over an axis that is worth a step
LEGAL_PER_RANGE = 0.05  # the same for the share over the limit


@dataclasses.dataclass(frozen=True)
class Grid:
    """The pairs of a space.

    Attributes:
      ratios: ascending.
      patches: of one stem, ascending in size.
    """

    ratios: tuple[float, ...]
    patches: tuple[Patch, ...]

    @property
    def pairs(self) -> list[tuple[float, int]]:
        """(rank ratio, patch size) of all."""
        return [(ratio, patch.size) for ratio in self.ratios for patch in self.patches]

    def axes(self) -> tuple[Axis, Axis]:
        """How far ratio and patch size move: a step is the smallest distance of two choices."""
        return _axis(self.ratios), _axis([p.size for p in self.patches])

    def nearest(self, ratio: float, size: float) -> tuple[float, int]:
        """The pair of the space next to any values."""
        near = min(self.ratios, key=lambda r: abs(r - ratio))
        return near, min((p.size for p in self.patches), key=lambda s: abs(s - size))


def _axis(values: Sequence[float]) -> Axis:
    low, high = float(min(values)), float(max(values))
    if low == high:  # one choice: never moves
        still = Step(tau=math.inf, gamma=0.0, low=low, high=high)
        return Axis(still, still)
    gamma = float(np.diff(sorted(values)).min())
    return Axis(
        Step(ERROR_PER_RANGE / (high - low), gamma, low, high),
        Step(LEGAL_PER_RANGE / (high - low), gamma, low, high),
    )


def grid_of(space: SearchSpace) -> Grid:
    """The pairs of a space; of several stems the one with most patch sizes.

    Raises:
      SpaceError: the space has no low ranks, or nothing to choose from.
    """
    if space.ranks is None:
        raise SpaceError(f"{space.name}: no rank ratios, expected some (--algorithm=mcuformer)")
    stems = list(dict.fromkeys(p.stem for p in space.patches))
    groups = [tuple(p for p in space.patches if p.stem == stem) for stem in stems]
    most = max(groups, key=lambda group: len(group))
    patches = tuple(sorted(most, key=lambda p: p.size))
    grid = Grid(tuple(sorted(space.ranks.ratios)), patches)
    if len(grid.pairs) < 2:
        raise SpaceError(
            f"{space.name}: one pair of rank ratio and patch size, expected at least two"
        )
    return grid


def restricted(space: SearchSpace, grid: Grid, pair: tuple[float, int]) -> SearchSpace:
    """The space of the sub-networks with a pair."""
    assert space.ranks is not None
    patch = next(p for p in grid.patches if p.size == pair[1])
    ranks = dataclasses.replace(space.ranks, ratios=(pair[0],))
    return space.replace(name=f"{space.name}_{pair[0]:g}_{pair[1]}", patches=(patch,), ranks=ranks)


def objective(point: Point) -> float:
    """What falls: E-T error plus the share of networks over the SRAM limit, 0..2."""
    return point.error + 1.0 - point.legal


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a pair is measured.

    Attributes:
      sampler: of the whole space: its limits and seed.
      accuracy: of a sub-network, 0..1.
      networks, top: random sub-networks of a pair, and how many of them are the top ones.
    """

    sampler: Sampler
    accuracy: Callable[[AnySubnet], float]
    networks: int
    top: int

    def point(self, grid: Grid, pair: tuple[float, int]) -> Point:
        """E-T error and share that fits; error 1 where nothing fits: none is evaluated."""
        space = restricted(expect_one_stage(self.sampler.space, "mcuformer"), grid, pair)
        census = take_census(space, self.sampler.model)
        legal = census.fit_sram / census.total
        if not census.fit_both:
            return Point(pair[0], pair[1], 1.0, legal)
        sampler = Sampler(space, self.sampler.model, self.sampler.seed)
        rng = np.random.default_rng((self.sampler.seed, 5))
        configs = [sampler.draw(rng) for _ in range(self.networks)]
        errors = [1.0 - self.accuracy(config) for config in configs]
        return Point(pair[0], pair[1], et_error(errors, self.top), legal)


@dataclasses.dataclass(frozen=True)
class Walk:
    """What was visited.

    Attributes:
      before: the space.
      after: its sub-networks with the best pair.
      points: the random ones first, then the path.
      random: how many of them are random.
      best: of them.
    """

    before: SearchSpace
    after: SearchSpace
    points: tuple[Point, ...]
    random: int
    best: Point


def walk(
    measure: Measure, random: int, steps: int, on_point: Callable[[], object] = lambda: None
) -> Walk:
    """Measures random pairs, then goes on from the best of them.

    Ends after `steps` steps, or where the next pair was visited already.
    """
    space = expect_one_stage(measure.sampler.space, "mcuformer")
    grid = grid_of(space)
    rng = np.random.default_rng((measure.sampler.seed, 6))
    order = rng.permutation(len(grid.pairs))[:random]
    points = []

    def visit(pair: tuple[float, int]) -> Point:
        points.append(measure.point(grid, pair))
        on_point()
        return points[-1]

    for i in order:
        visit(grid.pairs[int(i)])
    at = min(points, key=objective)
    for _ in range(steps):
        pair = grid.nearest(*next_point(points, at, grid.axes()))
        if any(pair == (p.ratio, p.patch) for p in points):
            break
        at = visit(pair)
    best = min(points, key=objective)
    after = restricted(space, grid, (best.ratio, int(best.patch)))
    return Walk(space, after, tuple(points), len(order), best)


def record(found: Walk) -> dict[str, Any]:
    """A walk as plain data."""
    data = dataclasses.asdict(found)
    data["points"] = [
        {**dataclasses.asdict(p), "objective": objective(p)} for p in found.points
    ]  # fmt: skip
    return {"algorithm": "mcuformer", "et_error": found.best.error, **data}


def draw_walk(path: str, found: Walk) -> None:
    """The pairs, coloured by their objective, and the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.5, 4))
    ratios, sizes = [p.ratio for p in found.points], [p.patch for p in found.points]
    colours = [objective(p) for p in found.points]
    dots = axes.scatter(ratios, sizes, c=colours, s=90, cmap="viridis_r", zorder=2)
    start = min(found.points[: found.random], key=objective)
    path_of = [start, *found.points[found.random :]]
    axes.plot([p.ratio for p in path_of], [p.patch for p in path_of], "k-", lw=1, zorder=1)
    for p in found.points:
        text = f"{100 * p.error:.1f} %\n{100 * p.legal:.0f} % fit"
        axes.annotate(text, (p.ratio, p.patch), (6, 4), textcoords="offset points", fontsize=7)
    axes.set_xlabel("rank ratio")
    axes.set_ylabel("patch size, pixels")
    axes.margins(0.2)
    axes.set_title(
        f"{found.before.name}: rank ratio {found.best.ratio:g}, patch {found.best.patch:g}",
        fontsize=9,
    )
    figure.colorbar(dots, label="E-T error + share over the limit")
    figure.tight_layout()
    write_atomic(path, png(figure))
