# SPDX-License-Identifier: Apache-2.0
"""Images per CPU second of whole training steps: with the augmentation of Keras' layers, with this
project's, and with none.

    python -m benchmarks.training_speed --json=docs/results/training_speed.json

Each network is trained by its own recipe, in float32, forward, backward and optimizer; the three
kinds of batches in turn. Processor time of the whole process; the best run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.augmentation_speed import Array, images_per_second, keras_layers, our_batches
from benchmarks.versions import versions_of
from keras_models.load import resolve_network
from keras_models.training.fit import TrainJob, compiled_model
from keras_models.training.recipe import recipe_for
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("training_speed", __doc__)
flags.networks(FLAGS, ("vit_micro_32", "hybrid_32"), "names of presets.")
flags.runs(FLAGS, 3)
flags.seconds(FLAGS, 4)
flags.seed(FLAGS, "Of images, weights and augmentation.")
flags.json(FLAGS)


@dataclasses.dataclass(frozen=True)
class Speed:
    """Images per CPU second of one network's training.

    Attributes:
      keras, ours: with augmentation by Keras' layers, and by `keras_models.training.augmentation`.
      none: of the steps alone.
    """

    network: str
    batch: int
    keras: float
    ours: float
    none: float


def measure(name: str, runs: int, seconds: int, seed: int) -> Speed:
    """One network."""
    arch, recipe = resolve_network(name), recipe_for(name)
    rng, count, side = np.random.default_rng(seed), recipe.batch_size, arch.image_size
    images = rng.integers(0, 256, (count, side, side, arch.channels), dtype=np.uint8)
    labels = np.eye(arch.num_classes, dtype=np.float32)[rng.integers(0, arch.num_classes, count)]
    model = compiled_model(TrainJob(arch, recipe, "", "", seed, "", 1, False), 1000)

    def trained(augment: Any) -> Any:
        def step(images: Array, labels: Array, batch: int) -> None:
            found = augment(images, labels, batch)
            changed, targets = found if isinstance(found, tuple) else (found, labels)
            model.train_on_batch(changed / np.float32(127.5) - np.float32(1), targets)

        return step

    plain = images.astype(np.float32)
    forms = [
        trained(augment)
        for augment in (
            keras_layers(recipe),
            our_batches(recipe, seed),
            lambda images, labels, batch: (plain, labels),
        )
    ]
    best = [0.0] * len(forms)
    for work in forms:
        work(images, labels, 0)  # compiled, and warm
    for _ in range(runs):
        for i, work in enumerate(forms):
            best[i] = max(best[i], images_per_second(work, images, labels, seconds))
    return Speed(name, count, *(round(value, 1) for value in best))


def _body() -> None:
    expect_writable(FLAGS.json)
    found = [measure(name, FLAGS.runs, FLAGS.seconds, FLAGS.seed) for name in FLAGS.networks]
    for row in found:
        print(
            f"{row.network}: {row.keras:,.1f} images per CPU second with Keras' layers, "
            f"{row.ours:,.1f} here, {row.none:,.1f} without augmentation"
        )
    if FLAGS.json:
        report = {
            "command": typed_command("benchmarks.training_speed"),
            "cores": len(os.sched_getaffinity(0)),
            "versions": versions_of("numpy", "tensorflow", "keras"),
            "results": [dataclasses.asdict(row) for row in found],
        }
        write_json(FLAGS.json, report)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints; writes JSON if asked."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
