# SPDX-License-Identifier: Apache-2.0
"""How far extracted networks are from their supernet: random networks of named spaces.

    python -m benchmarks.extract_equality --spaces=hybrid_32,s3_t --count=200 --out=FILE

Every weight of the supernet is random; a network's logits on one random image are compared with
those of the plain model that `nas.supernet.extract` makes of it (largest difference over the
largest logit). Rows of other spaces that the record has already stay.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
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


@dataclasses.dataclass(frozen=True)
class Row:
    """A space: relative differences of its networks."""

    space: str
    networks: int
    seed: int
    worst: float
    median: float
    command: str


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


def measure(name: str, networks: int, seed: int) -> Row:
    """Random networks of one space."""
    import keras

    space = get_space(name)
    net, rng = randomized(space, seed), np.random.default_rng((seed, 1))
    shape = (CALIBRATION, space.image_size, space.image_size, space.channels)
    images = rng.uniform(-1, 1, shape).astype(np.float32)
    found = []
    for _ in tqdm(range(networks), desc=space.name, unit="network"):
        found.append(difference(net, space.sample(rng), images))
        keras.backend.clear_session()  # the models before
    command = typed_command("benchmarks.extract_equality")
    return Row(space.name, networks, seed, max(found), float(np.median(found)), command)


def _body() -> None:
    rows: dict[str, dict[str, Any]] = {}
    if FLAGS.out and os.path.exists(FLAGS.out):
        with open(FLAGS.out, encoding="utf-8") as file:
            rows = {row["space"]: row for row in json.load(file)["spaces"]}
    for name in _SPACES.value:
        row = measure(name, _COUNT.value, FLAGS.seed)
        print(
            f"{row.space}: {row.networks} networks, worst {row.worst:.2g}, median {row.median:.2g}"
        )
        rows[row.space] = dataclasses.asdict(row)
        if FLAGS.out:
            versions = versions_of("tensorflow", "keras", "numpy")
            write_json(FLAGS.out, {"versions": versions, "spaces": list(rows.values())})


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
