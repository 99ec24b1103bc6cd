# SPDX-License-Identifier: Apache-2.0
"""How far extracted networks are from their supernet: random networks of named spaces.

    python -m benchmarks.extract_equality --spaces=hybrid_32,s3_t --count=200 --out=FILE \
        [--double] [--cpu_minutes=5]

Every weight of the supernet is random; a network's logits on one random image are compared with
those of the plain model that `nas.supernet.extract` makes of it (largest difference over the
largest logit). In float32 they differ by what its rounding does (`benchmarks.extract_rounding`);
with --double all is computed in float64, so that a wrong number could not hide behind it. Network n
of a space depends on the seed and n alone. The record is written after each `EVERY` networks and
gone on with: what it has of the same seed and type is not done again, and other rows stay. What a
space will take is printed after its first networks; --cpu_minutes ends it early, with as many
networks as were done.

Half of a small network's time is the plain model's building; collecting the models before was
another fifth, and is done once in `KEPT_WEIGHTS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from tflm_vit.files import read_json, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("extract_equality", __doc__)
_SPACES = flags.spaces(FLAGS, ["hybrid_32"], "Named spaces, or JSON files.")
_COUNT = flags.count(FLAGS, "Random networks of each space.", 200, 1)
_DOUBLE = FLAGS.boolean("double", False, "Compute in float64.")
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
    """A space: relative differences of its networks, in order.

    Attributes:
      dtype: what they were computed in.
    """

    space: str
    dtype: str
    seed: int
    command: str
    differences: tuple[float, ...]

    def tree(self) -> dict[str, Any]:
        """For the record, with figures."""
        found = self.differences
        figures = {"networks": len(found), "worst": max(found), "median": float(np.median(found))}
        return {**dataclasses.asdict(self), **figures}


@contextlib.contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Supernets and networks that are made within have this type; what they are given, too."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def randomized(space: Any, seed: int) -> Any:
    """Its supernet with every weight away from its first value."""
    from nas.supernet.make import make_supernet

    net, rng = make_supernet(space, seed), np.random.default_rng(seed)
    for weight in net.weights:
        value = np.asarray(weight)
        change = rng.normal(0, NOISE, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path else change))
    return net


def both_logits(net: Any, config: AnySubnet, images: Any) -> tuple[Any, Any, int]:
    """The supernet's logits of the first image, those of the plain model, and its weights."""
    from nas.supernet.extract import extract

    masks = {name: np.asarray(mask, images.dtype) for name, mask in net.masks(config).items()}
    given, statistics = {}, {}
    if net.needs_statistics:
        found = net.statistics(images, masks, config.form)
        statistics = {name: np.asarray(value) for name, value in found.items()}
        given = {"statistics": statistics}
    expected = np.asarray(net(images[:1], masks=masks, form=config.form, **given))
    model = extract(net, config, statistics)
    return expected, np.asarray(model(images[:1], training=False)), model.count_params()


def difference(found: Any, expected: Any) -> float:
    """Largest difference over the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def drawn_images(space: Any, seed: int) -> Any:
    """Of its first image logits are compared, all are for batch statistics."""
    rng = np.random.default_rng((seed, 1))
    shape = (CALIBRATION, space.image_size, space.image_size, space.channels)
    return rng.uniform(-1, 1, shape).astype(np.float32)


def drawn_network(space: Any, seed: int, number: int) -> AnySubnet:
    """Network n of a space."""
    config: AnySubnet = space.sample(np.random.default_rng((seed, 2, number)))
    return config


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
    name: str, dtype: str, count: int, seed: int, known: Sequence[float], limit: float | None = None
) -> Iterator[Row]:
    """Random networks of one space, those left that are not known yet; a row now and then, and the
    last one whole.

    Args:
      dtype: what is computed in.
      limit: seconds of the processor, its supernet's making included.
    """
    import keras

    space = get_space(name)
    found, command = list(known[:count]), typed_command("benchmarks.extract_equality")
    if len(found) < count:
        clock, built = _Clock(count - len(found), limit), 0
        with computing_in(dtype):
            net = randomized(space, seed)
        images = drawn_images(space, seed).astype(dtype)
    for number in tqdm(range(len(found), count), desc=space.name, unit="network"):
        with computing_in(dtype):
            expected, plain, weights = both_logits(net, drawn_network(space, seed, number), images)
        found.append(difference(plain, expected))
        built += weights
        if built > KEPT_WEIGHTS:
            keras.backend.clear_session()
            built = 0
        if not clock.network(space.name):
            break
        if len(found) % EVERY == 0 and len(found) < count:
            yield Row(space.name, dtype, seed, command, tuple(found))
    yield Row(space.name, dtype, seed, command, tuple(found))


def _body() -> None:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    if FLAGS.out and os.path.exists(FLAGS.out):
        rows = {(row["space"], row["dtype"]): row for row in read_json(FLAGS.out)["spaces"]}
    dtype = "float64" if _DOUBLE.value else "float32"
    for name in _SPACES.value:
        key = get_space(name).name, dtype
        before = rows.get(key, {})
        known = before["differences"] if before.get("seed") == FLAGS.seed else ()
        limit = None if _MINUTES.value is None else 60 * _MINUTES.value
        for row in measure(name, dtype, _COUNT.value, FLAGS.seed, known, limit):
            rows[key] = row.tree()
            if FLAGS.out:
                versions = versions_of("tensorflow", "keras", "numpy")
                write_json(FLAGS.out, {"versions": versions, "spaces": list(rows.values())})
        tree = rows[key]
        print(
            f"{tree['space']}: {tree['networks']} networks, worst {tree['worst']:.2g}, median "
            f"{tree['median']:.2g} in {dtype}"
        )


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
