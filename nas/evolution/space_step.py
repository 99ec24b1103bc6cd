# SPDX-License-Identifier: Apache-2.0
"""One step of a space by S3: measure random sub-networks, move each dimension against its slope.

In a space of stages each stage's dimensions are fitted and moved for themselves, as S3 does. In a
space of one stage the heads, MLP and rank ratio of each third of the blocks are fitted apart, and
their mean moves the dimension.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from nas.cost.sampler import Sampler
from nas.evolution.s3 import Measured, Step, dimension_errors, et_error, moved, slope, tendency
from nas.png import png
from nas.space import DIMENSIONS, SpaceError
from nas.space.any_space import AnySubnet, Searchable, expect_one_stage
from nas.space.stage_dimensions import STAGE_DIMENSIONS
from nas.space.staged_space import StagedSpace, StagedSubnet
from tflm_vit.files import write_atomic

STAGES = 3
STEPS_PER_RANGE = 0.02  # of the E-T error from a dimension's least to its largest value


class Movable(Protocol):
    """A dimension of a space, or of one of its stages."""

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and largest choice."""
        ...

    def choices(self, space: Any) -> tuple[Any, ...]:
        """What there is to choose from."""
        ...

    def with_choices(self, space: Any, choices: Sequence[float]) -> Any:
        """The space with others."""
        ...


def dimensions(space: Searchable) -> list[Movable]:
    """What can move: dimensions with limits and at least two choices, of each stage its own."""
    if isinstance(space, StagedSpace):
        return [*space.axes()]
    flat = expect_one_stage(space, "evolution")
    return [d for d in flat.dimensions if d.limits and len(d.choices(flat)) > 1]


def step_of(space: Searchable, dimension: Movable) -> Step:
    """How a dimension of a space moves: a step is the smallest distance of two choices."""
    assert dimension.limits is not None
    choices = dimension.choices(space)
    tau = STEPS_PER_RANGE / (choices[-1] - choices[0])
    return Step(tau, float(np.diff(choices).min()), *dimension.limits)


def values_of(config: AnySubnet) -> dict[str, float]:
    """What is fitted: the network's dimensions, and each stage's means of the blocks' ones."""
    values: dict[str, float] = {}
    if isinstance(config, StagedSubnet):
        for place, choice in enumerate(config.stages):
            for stage_dimension in STAGE_DIMENSIONS:
                value, name = getattr(choice, stage_dimension.name), stage_dimension.name
                if stage_dimension.limits is None or value == stage_dimension.absent:
                    continue
                if stage_dimension.per_block:
                    values[f"stage{place}.{name}/mean"] = float(np.mean(value))
                else:
                    values[f"stage{place}.{name}"] = value
        return values
    for d in DIMENSIONS:
        value = getattr(config, d.name)
        if d.limits is None or value == d.absent:
            continue
        if not d.per_block:
            values[d.name] = value
            continue
        for stage, part in enumerate(np.array_split(np.asarray(value, float), STAGES)):
            if len(part):
                values[f"{d.name}/{stage}"] = float(part.mean())
    return values


@dataclasses.dataclass(frozen=True)
class Moved:
    """What happened to one dimension.

    Attributes:
      slopes: of the E-T error per unit of the dimension; one, or one per stage; none where no
        network that was measured had it, which leaves it where it is.
      before, after: choices.
    """

    name: str
    slopes: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Evolved:
    """One step.

    Attributes:
      et_error: of the space before the step, 0..1.
      mean_error, top_error: its halves.
    """

    before: Searchable
    after: Searchable
    et_error: float
    mean_error: float
    top_error: float
    dimensions: tuple[Moved, ...]


def _names(measured: Sequence[Measured], dimension: str) -> list[str]:
    """What was measured of a dimension, in any of the networks: one value, or one a part."""
    return sorted({n for m in measured for n in m.values if n.split("/")[0] == dimension})


def _slopes(measured: Sequence[Measured], dimension: Movable, top: int) -> tuple[float, ...]:
    """Empty where no network had the dimension, as a stage of convolutions has no heads."""
    found = []
    for name in _names(measured, dimension.name):
        if "/" in name:  # means of several blocks: many values, so that a line is fitted directly
            pairs = [(m.values[name], m.error) for m in measured if name in m.values]
            found.append(slope([v for v, _ in pairs], [e for _, e in pairs]))
        else:
            found.append(tendency(measured, name, top))
    return tuple(found)


def evolve_once(space: Searchable, measured: Sequence[Measured], top: int) -> Evolved:
    """Moves every dimension of a space against its tendency.

    Args:
      measured: random sub-networks of the space.
      top: how many of them are the top ones.
    """
    errors = [m.error for m in measured]
    new, changes = space, []
    for dimension in dimensions(space):
        choices, step = dimension.choices(space), step_of(space, dimension)
        slopes = _slopes(measured, dimension, top)
        slope_of_all = np.mean(slopes) if slopes else 0.0
        w = float(np.clip(slope_of_all, -step.tau, step.tau))  # at most one step at a time
        after = moved(choices, w, step)
        # A step may not make a space of it, e.g. a hidden width that is no integer: then it stays.
        with contextlib.suppress(SpaceError):
            new = dimension.with_choices(new, after)
        changes.append(Moved(dimension.name, slopes, choices, dimension.choices(new)))
    best = sorted(errors)[:top]
    return Evolved(
        space, new, et_error(errors, top), float(np.mean(errors)), float(np.mean(best)),
        tuple(changes),
    )  # fmt: skip


def moved_at_random(space: Searchable, evolved: Searchable, seed: int) -> Searchable:
    """As many dimensions moved by one step as differ from the evolved space's, both by chance.

    Args:
      space: what moves.
      evolved: the space that moved against the slopes.
    """
    rng = np.random.default_rng((seed, 6))
    after = {d.name: d.choices(evolved) for d in dimensions(evolved)}
    movable = dimensions(space)
    left = sum(after.get(d.name) != d.choices(space) for d in movable)
    new = space
    for place in rng.permutation(len(movable)):
        dimension, way = movable[place], float(rng.choice((-1, 1)))
        step = step_of(space, dimension)
        for w in (way * step.tau, -way * step.tau):  # back where it is at its limit
            choices = moved(dimension.choices(space), w, step)
            if left and choices != dimension.choices(space):
                with contextlib.suppress(SpaceError):
                    new, left = dimension.with_choices(new, choices), left - 1
                    break
    return new


def measure(
    sampler: Sampler,
    accuracy: Callable[[AnySubnet], float],
    count: int,
    on_network: Callable[[], object] = lambda: None,
) -> list[Measured]:
    """Random sub-networks that fit, with their errors; the same ones for the same seed."""
    rng = np.random.default_rng((sampler.seed, 4))
    found = []
    for _ in range(count):
        config = sampler.draw(rng)
        found.append(Measured(values_of(config), 1.0 - accuracy(config)))
        on_network()
    return found


def record(evolved: Evolved, measured: Sequence[Measured], fit_share: float) -> dict[str, Any]:
    """A step as plain data."""
    data = {"algorithm": "s3", **dataclasses.asdict(evolved)}  # type: ignore[call-overload]
    data["share_that_fits"] = fit_share
    data["networks"] = [dataclasses.asdict(m) for m in measured]
    return data


def draw_step(path: str, evolved: Evolved, measured: Sequence[Measured], top: int) -> None:
    """Error against each dimension, with the choices before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    count = max(1, len(evolved.dimensions))
    figure, axes = pyplot.subplots(1, count, figsize=(3.2 * count, 3.2), squeeze=False)
    for panel, change in zip(axes[0], evolved.dimensions, strict=False):
        names = _names(measured, change.name)
        for name in names:
            points = [(m.values[name], 100 * m.error) for m in measured if name in m.values]
            panel.scatter(*zip(*points, strict=True), s=6, alpha=0.5)
        if change.name in names:
            errors = dimension_errors(measured, change.name, top)
            panel.plot(list(errors), [100 * e for e in errors.values()], "k.-")
        panel.set_title(
            f"{change.name}\n{list_of(change.before)} -> {list_of(change.after)}", fontsize=8
        )
        panel.set_ylabel("error, %")
    figure.suptitle(f"{evolved.before.name}: E-T error {100 * evolved.et_error:.2f} %", fontsize=9)
    figure.tight_layout()
    write_atomic(path, png(figure))


def list_of(choices: Sequence[float]) -> str:
    """For example "16,24,32"."""
    return ",".join(f"{c:g}" for c in choices)


def describe_space(space: Searchable) -> str:
    """The dimensions that can move."""
    return ", ".join(f"{d.name} {list_of(d.choices(space))}" for d in dimensions(space))
