# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.evolve_space --supernet=DIR --out=OUT`: one step of the evolution of a space.

Evaluates random sub-networks that fit the budget with the supernet's weights, fits the tendency of
the E-T error for each dimension (per stage: the heads, MLP and rank ratio of each third of the
blocks are fitted apart, their mean moves the dimension), and moves each dimension against it
(`nas.tendency`). Writes OUT/space.json, the space to train the next supernet on, OUT/evolution.json
with the space before and after, errors and slopes, and OUT/evolution.png.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import app, flags
from tqdm import tqdm

from keras_models.datasets import DATASETS
from nas.command import FLAGS, cost_model, define_target_flags, run, write_json
from nas.evaluator import Evaluator, Source
from nas.sampler import Sampler
from nas.space import SearchSpace, SpaceError, SubnetConfig
from nas.stored import SPACE_FILE
from nas.tendency import Measured, Step, dimension_errors, et_error, moved, slope, tendency

STAGES = 3
STEPS_PER_RANGE = 0.02  # of the E-T error from a dimension's least to its largest value


@dataclasses.dataclass(frozen=True)
class Dimension:
    """A dimension of a space and what its values mean.

    Attributes:
      name: attribute of `SearchSpace`.
      unit: length of a step: the smallest distance of two choices.
      low, high: limits that it may move to.
      whole: values are integers.
    """

    name: str
    unit: float
    low: float
    high: float
    whole: bool


def dimensions(space: SearchSpace) -> list[Dimension]:
    """The dimensions that can move: those with at least two choices."""
    found = []
    for name, low, high, whole in (
        ("embed_dim", 8.0, 1024.0, True),
        ("depth", 1.0, 24.0, True),
        ("heads", 1.0, 16.0, True),
        ("mlp_ratio", 0.5, 6.0, False),
        ("rank_ratio", 0.05, 1.0, False),
    ):
        choices = choices_of(space, name)
        if len(choices) > 1:
            unit = float(np.diff(choices).min())
            found.append(Dimension(name, unit, low, high, whole))
    return found


def choices_of(space: SearchSpace, name: str) -> tuple[float, ...]:
    """Choices of a dimension by name."""
    if name == "rank_ratio":
        return space.ranks.ratios if space.ranks else ()
    return tuple(getattr(space, name))


def with_choices(space: SearchSpace, name: str, choices: Sequence[float]) -> SearchSpace:
    """The space with other choices of one dimension."""
    if name == "rank_ratio":
        assert space.ranks is not None
        return space.replace(ranks=dataclasses.replace(space.ranks, ratios=tuple(choices)))
    whole = name in ("embed_dim", "depth", "heads")
    return space.replace(**{name: tuple(int(c) if whole else float(c) for c in choices)})


def values_of(config: SubnetConfig) -> dict[str, float]:
    """What is fitted: the network's dimensions, and each stage's means of the blocks' ones."""
    values: dict[str, float] = {"embed_dim": config.embed_dim, "depth": config.depth}
    for name in ("heads", "mlp_ratio", "rank_ratio"):
        per_block = getattr(config, name)
        if not per_block:
            continue
        for stage, part in enumerate(np.array_split(np.asarray(per_block, float), STAGES)):
            if len(part):
                values[f"{name}/{stage}"] = float(part.mean())
    return values


@dataclasses.dataclass(frozen=True)
class Moved:
    """What happened to one dimension.

    Attributes:
      slopes: of the E-T error per unit of the dimension; one, or one per stage.
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

    before: SearchSpace
    after: SearchSpace
    et_error: float
    mean_error: float
    top_error: float
    dimensions: tuple[Moved, ...]


def _slopes(measured: Sequence[Measured], dimension: Dimension, top: int) -> tuple[float, ...]:
    names = [dimension.name]
    if dimension.name not in measured[0].values:
        names = sorted({n for m in measured for n in m.values if n.startswith(dimension.name)})
    found = []
    for name in names:
        if "/" in name:  # means of several blocks: many values, so that a line is fitted directly
            pairs = [(m.values[name], m.error) for m in measured if name in m.values]
            found.append(slope([v for v, _ in pairs], [e for _, e in pairs]))
        else:
            found.append(tendency(measured, name, top))
    return tuple(found)


def evolve_once(space: SearchSpace, measured: Sequence[Measured], top: int) -> Evolved:
    """Moves every dimension of a space against its tendency.

    Args:
      measured: random sub-networks of the space.
      top: how many of them are the top ones.
    """
    errors = [m.error for m in measured]
    new, changes = space, []
    for dimension in dimensions(space):
        choices = choices_of(space, dimension.name)
        slopes = _slopes(measured, dimension, top)
        tau = STEPS_PER_RANGE / (choices[-1] - choices[0])
        step = Step(tau, dimension.unit, dimension.low, dimension.high)
        w = float(np.clip(np.mean(slopes), -tau, tau))  # at most one step at a time
        after = moved(choices, w, step)
        # A step may not make a space of it, e.g. a hidden width that is no integer: then it stays.
        with contextlib.suppress(SpaceError):
            new = with_choices(new, dimension.name, after)
        changes.append(Moved(dimension.name, slopes, choices, choices_of(new, dimension.name)))
    best = sorted(errors)[:top]
    return Evolved(
        space, new, et_error(errors, top), float(np.mean(errors)), float(np.mean(best)),
        tuple(changes),
    )  # fmt: skip


def measure(
    sampler: Sampler,
    accuracy: Callable[[SubnetConfig], float],
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
    data = dataclasses.asdict(evolved)
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
        names = [n for n in measured[0].values if n.split("/")[0] == change.name]
        for name in names:
            points = [(m.values[name], 100 * m.error) for m in measured if name in m.values]
            panel.scatter(*zip(*points, strict=True), s=6, alpha=0.5)
        if change.name in measured[0].values:
            errors = dimension_errors(measured, change.name, top)
            panel.plot(list(errors), [100 * e for e in errors.values()], "k.-")
        panel.set_title(
            f"{change.name}\n{_list(change.before)} -> {_list(change.after)}", fontsize=8
        )
        panel.set_ylabel("error, %")
    figure.suptitle(f"{evolved.before.name}: E-T error {100 * evolved.et_error:.2f} %", fontsize=9)
    figure.tight_layout()
    figure.savefig(f"{path}.tmp", format="png", dpi=110)
    pyplot.close(figure)
    os.replace(f"{path}.tmp", path)


def _list(choices: Sequence[float]) -> str:
    return ",".join(f"{c:g}" for c in choices)


def _body() -> None:
    space = SearchSpace.load(os.path.join(FLAGS.supernet, SPACE_FILE))
    sampler = Sampler(space, cost_model(), FLAGS.seed)
    census = sampler.census
    if not 1 <= FLAGS.top <= FLAGS.networks:
        raise ValueError(f"--top={FLAGS.top}: expected 1 to --networks={FLAGS.networks}")
    os.makedirs(FLAGS.out, exist_ok=True)
    source = Source(FLAGS.supernet, FLAGS.dataset, FLAGS.data_dir, FLAGS.search_fraction)
    with tqdm(total=FLAGS.networks, unit="network") as bar:
        measured = measure(sampler, Evaluator(source, space), FLAGS.networks, lambda: bar.update(1))
    evolved = evolve_once(space, measured, FLAGS.top)
    share = census.fit_both / census.total
    write_json(os.path.join(FLAGS.out, "evolution.json"), record(evolved, measured, share))
    draw_step(os.path.join(FLAGS.out, "evolution.png"), evolved, measured, FLAGS.top)
    evolved.after.save(os.path.join(FLAGS.out, SPACE_FILE))
    print(f"E-T error {100 * evolved.et_error:.2f} %, {100 * share:.2f} % of the networks fit")
    for change in evolved.dimensions:
        slopes = ", ".join(f"{s:+.3g}" for s in change.slopes)
        print(
            f"{change.name:<11} {_list(change.before)} -> {_list(change.after)}  (slopes {slopes})"
        )


def main(argv: Sequence[str]) -> None:
    run("nas.evolve_space", argv, _body)


def define_flags() -> None:
    flags.DEFINE_string("supernet", None, "directory of nas.train_supernet", required=True)
    flags.DEFINE_enum("dataset", "digits", DATASETS, "data set, as in training")
    flags.DEFINE_string("data_dir", "", "folder of the data set")
    flags.DEFINE_float("search_fraction", 0.2, "as in training")
    flags.DEFINE_string("out", None, "directory for the results", required=True)
    flags.DEFINE_integer("networks", 200, "random sub-networks to evaluate", lower_bound=2)
    flags.DEFINE_integer("top", 50, "of them, how many are the top ones", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the random sub-networks")
    define_target_flags()


if __name__ == "__main__":
    define_flags()
    app.run(main)
