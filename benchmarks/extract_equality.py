# SPDX-License-Identifier: Apache-2.0
"""How far extracted networks are from their supernet: random networks of named spaces.

    python -m benchmarks.extract_equality --spaces=hybrid_32,s3_t --count=200 --out=FILE

Every weight of the supernet is random; a network's logits on one random image are compared with
those of the plain model that `nas.supernet.extract` makes of it (largest difference over the
largest logit). Network n of a space depends on the seed and n alone. The record is written after
each `EVERY` networks and gone on with: what it has of the same seed is not done again, and rows of
other spaces stay.
"""

from __future__ import annotations

import dataclasses
import json
import os
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
_SPACES = FLAGS.words("spaces", ["hybrid_32"], "Named spaces, or JSON files.")
_COUNT = flags.count(FLAGS, "Random networks of each space.", 200, 1)
flags.seed(FLAGS, "Of weights, networks and images.")
flags.out(FLAGS, "File of the record.", required=False)

CALIBRATION = 8  # images of a network's batch statistics
NOISE = 0.1
EVERY = 10  # networks between two states of the record


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


def difference(net: Any, config: AnySubnet, images: Any) -> float:
    """Of the first image's logits."""
    from nas.supernet.extract import extract

    masks, given, statistics = net.masks(config), {}, {}
    if net.needs_statistics:
        found = net.statistics(images, masks, config.form)
        statistics = {name: np.asarray(value) for name, value in found.items()}
        given = {"statistics": statistics}
    expected = np.asarray(net(images[:1], masks=masks, form=config.form, **given))
    plain = np.asarray(extract(net, config, statistics)(images[:1], training=False))
    return float(np.abs(plain - expected).max() / np.abs(expected).max())


def measure(name: str, count: int, seed: int, known: Sequence[float]) -> Iterator[Row]:
    """Random networks of one space, those left that are not known yet; a row now and then, and the
    last one whole."""
    import keras

    space = get_space(name)
    found, command = list(known[:count]), typed_command("benchmarks.extract_equality")
    if len(found) < count:
        net, rng = randomized(space, seed), np.random.default_rng((seed, 1))
        shape = (CALIBRATION, space.image_size, space.image_size, space.channels)
        images = rng.uniform(-1, 1, shape).astype(np.float32)
    for number in tqdm(range(len(found), count), desc=space.name, unit="network"):
        rng = np.random.default_rng((seed, 2, number))
        found.append(difference(net, space.sample(rng), images))
        keras.backend.clear_session()  # the models before
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
        for row in measure(name, _COUNT.value, FLAGS.seed, known):
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
