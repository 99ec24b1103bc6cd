# SPDX-License-Identifier: Apache-2.0
"""How far extracted networks are from their supernet: random networks of named spaces.

    python -m benchmarks.extract_equality --spaces=hybrid_32,s3_t --count=200 --out=FILE \
        [--cpu_minutes=5]

Every weight of the supernet is random; a network's logits on one random image are compared with
those of the plain model that `nas.supernet.extract` makes of it (largest difference over the
largest logit). Network n of a space depends on the seed and n alone. The record is written after
each `EVERY` networks and gone on with: what it has of the same seed is not done again, and rows of
other spaces stay. What a space will take is printed after its first networks; --cpu_minutes ends it
early, with as many networks as were done.

Half of a small network's time is the plain model's building; collecting the models before was
another fifth, and is done once in `KEPT_WEIGHTS`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.versions import versions_of
from nas.space.any_space import AnySubnet
from nas.space.presets import get_space
from tflm_vit import flags
from tflm_vit.files import write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("extract_equality", __doc__)
_SPACES = flags.spaces(FLAGS, ["hybrid_32"], "Named spaces, or JSON files.")
_COUNT = flags.count(FLAGS, "Random networks of each space.", 200, 1)
_MINUTES = FLAGS.number(
    "cpu_minutes", None, "Of the processor for each space; then it ends with what was done.", 0.01
)
flags.seed(FLAGS, "Of weights, networks and images.")
flags.out(FLAGS, "File of the record.", required=False)

CALIBRATION = 2  # images of a network's batch statistics
NOISE = 0.1
EVERY = 10  # networks between two states of the record
FORECAST = 4  # networks after which the rest is predicted; the first one is slower
KEPT_WEIGHTS = 40_000_000  # of plain models, before they are collected


@dataclasses.dataclass(frozen=True)
class Row:
    """A space: relative differences of its networks, in order."""

    space: str
    seed: int
    command: str
    differences: tuple[float, ...]

    def tree(self) -> dict[str, Any]:
        """For the record, with figures."""
        found = self.differences
        figures = {"networks": len(found), "worst": max(found), "median": float(np.median(found))}
        return {**dataclasses.asdict(self), **figures}


def randomized(space: Any, seed: int) -> Any:
    """Its supernet with every weight away from its first value."""
    from nas.supernet.make import make_supernet

    net, rng = make_supernet(space, seed), np.random.default_rng(seed)
    for weight in net.weights:
        value = np.asarray(weight)
        change = rng.normal(0, NOISE, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path else change))
    return net


def compared(net: Any, config: AnySubnet, images: Any) -> tuple[float, int]:
    """Difference of the first image's logits, and weights of the plain model."""
    from nas.supernet.extract import extract

    masks, given, statistics = net.masks(config), {}, {}
    if net.needs_statistics:
        found = net.statistics(images, masks, config.form)
        statistics = {name: np.asarray(value) for name, value in found.items()}
        given = {"statistics": statistics}
    expected = np.asarray(net(images[:1], masks=masks, form=config.form, **given))
    model = extract(net, config, statistics)
    plain = np.asarray(model(images[:1], training=False))
    difference = float(np.abs(plain - expected).max() / np.abs(expected).max())
    return difference, model.count_params()


@dataclasses.dataclass
class _Clock:
    """Processor time of a space.

    Attributes:
      left: networks at the start.
      limit: seconds, or None.
    """

    left: int
    limit: float | None
    started: float = dataclasses.field(default_factory=time.process_time)
    marks: list[float] = dataclasses.field(default_factory=list)

    def network(self, space: str) -> bool:
        """Told after each network; whether there is time for another one."""
        self.marks.append(time.process_time())
        done = len(self.marks)
        each = (self.marks[-1] - self.marks[0]) / max(1, done - 1)
        if done == min(FORECAST, self.left):
            rest = each * (self.left - done) / 60
            print(
                f"{space}: {each:.2f} CPU seconds a network, {rest:.1f} CPU minutes left for "
                f"{self.left - done} of them"
            )
        used = self.marks[-1] - self.started
        return self.limit is None or used + each <= self.limit


def measure(
    name: str, count: int, seed: int, known: Sequence[float], limit: float | None = None
) -> Iterator[Row]:
    """Random networks of one space, those left that are not known yet; a row now and then, and the
    last one whole.

    Args:
      limit: seconds of the processor, its supernet's making included.
    """
    import keras

    space = get_space(name)
    found, command = list(known[:count]), typed_command("benchmarks.extract_equality")
    if len(found) < count:
        clock, built = _Clock(count - len(found), limit), 0
        net, rng = randomized(space, seed), np.random.default_rng((seed, 1))
        shape = (CALIBRATION, space.image_size, space.image_size, space.channels)
        images = rng.uniform(-1, 1, shape).astype(np.float32)
    for number in tqdm(range(len(found), count), desc=space.name, unit="network"):
        rng = np.random.default_rng((seed, 2, number))
        difference, weights = compared(net, space.sample(rng), images)
        found.append(difference)
        built += weights
        if built > KEPT_WEIGHTS:
            keras.backend.clear_session()
            built = 0
        if not clock.network(space.name):
            break
        if len(found) % EVERY == 0 and len(found) < count:
            yield Row(space.name, seed, command, tuple(found))
    yield Row(space.name, seed, command, tuple(found))


def _body() -> None:
    rows: dict[str, dict[str, Any]] = {}
    if FLAGS.out and os.path.exists(FLAGS.out):
        with open(FLAGS.out, encoding="utf-8") as file:
            rows = {row["space"]: row for row in json.load(file)["spaces"]}
    for name in _SPACES.value:
        before = rows.get(get_space(name).name, {})
        known = before["differences"] if before.get("seed") == FLAGS.seed else ()
        limit = None if _MINUTES.value is None else 60 * _MINUTES.value
        for row in measure(name, _COUNT.value, FLAGS.seed, known, limit):
            rows[row.space] = row.tree()
            if FLAGS.out:
                versions = versions_of("tensorflow", "keras", "numpy")
                write_json(FLAGS.out, {"versions": versions, "spaces": list(rows.values())})
        tree = rows[get_space(name).name]
        print(
            f"{tree['space']}: {tree['networks']} networks, worst {tree['worst']:.2g}, median "
            f"{tree['median']:.2g}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
