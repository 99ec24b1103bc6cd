# SPDX-License-Identifier: Apache-2.0
"""Images per CPU second of augmentation: this project's, and the same recipe of Keras' layers.

    taskset -c 0 python -m benchmarks.augmentation_speed --json=docs/results/augmentation_speed.json

Keras' layers are compiled by TensorFlow, RandAugment draws for a quarter of the batch at a time
(the layer treats all images of a call alike). Processor time of the whole process; the best run.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.versions import versions_of
from keras_models.training.augmentation import Augment
from keras_models.training.recipe import Recipe
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("augmentation_speed", __doc__)
flags.runs(FLAGS, 5)
flags.seconds(FLAGS, 2)
flags.seed(FLAGS, "Of the images and the augmentation.")
flags.json(FLAGS)

# Written down before the first run, in images per CPU second.
PREDICTED = {(32, "default"): 8_000, (224, "default"): 130}
GOAL = 8.0  # times Keras' layers

LIGHT = Recipe(randaugment_ops=0, random_erasing=0.0, mixup=0.0, cutmix=0.0)
RECIPES = {"default": Recipe(), "light": LIGHT}
BATCHES = {32: 128, 224: 32}
PIXELS = (0.0, 255.0)
GROUPS = 4  # of a batch, which draw RandAugment apart

Array = np.ndarray[Any, Any]
Run = Callable[[Array, Array, int], Any]


@dataclasses.dataclass(frozen=True)
class Speed:
    """Images per CPU second of one recipe at one size."""

    image_size: int
    recipe: str
    batch: int
    keras: float
    ours: float
    predicted: int | None

    @property
    def times(self) -> float:
        return self.ours / self.keras


def keras_layers(recipe: Recipe) -> Run:
    """The recipe of Keras' own layers, compiled."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    shift = recipe.translation
    steps: list[Any] = [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(shift, shift, "constant", interpolation="nearest"),
    ]
    if recipe.randaugment_ops:
        strength = recipe.randaugment_ops, recipe.randaugment_factor
        steps.append(layers.RandAugment(PIXELS, *strength))
    if recipe.random_erasing:
        rate = (recipe.random_erasing,) * 2
        steps.append(layers.RandomErasing(rate, (0.02, 0.33), value_range=PIXELS))
    mixes = [layers.MixUp(recipe.mixup)] if recipe.mixup else []
    mixes += [layers.CutMix((recipe.cutmix,) * 2)] if recipe.cutmix else []

    @tf.function  # type: ignore[untyped-decorator]
    def per_image(images: Any) -> Any:
        for step in steps:
            images = step(images, training=True)
        return images

    @tf.function  # type: ignore[untyped-decorator]
    def mixed(images: Any, labels: Any) -> Any:
        batch = {"images": images, "labels": labels}
        found = [mix(dict(batch), training=True) for mix in mixes]
        first = tf.random.uniform(()) < 0.5
        return {key: tf.where(first, found[0][key], found[-1][key]) for key in batch}

    def augment(images: Array, labels: Array, _: int) -> Any:
        groups = GROUPS if recipe.randaugment_ops else 1
        parts = np.split(images.astype(np.float32), groups)
        out = np.concatenate([per_image(tf.constant(part)).numpy() for part in parts])
        if not mixes:
            return out
        both = mixed(tf.constant(out), tf.constant(labels))
        return both["images"].numpy(), both["labels"].numpy()

    return augment


def our_batches(recipe: Recipe, seed: int) -> Run:
    augment = Augment(recipe, seed)
    return lambda images, labels, batch: augment(images, labels, 0, batch)


def images_per_second(work: Run, images: Array, labels: Array, seconds: int) -> float:
    """Of processor time, all threads together."""
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        work(images, labels, done)
        done += 1
    return done * len(images) / spent


def measure(side: int, name: str, runs: int, seconds: int, seed: int) -> Speed:
    """Both forms in turn, so that what else the machine does meets both."""
    rng, recipe, count = np.random.default_rng(seed), RECIPES[name], BATCHES[side]
    images = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    labels = np.eye(10, dtype=np.float32)[rng.integers(0, 10, count)]
    forms = keras_layers(recipe), our_batches(recipe, seed)
    best = [0.0, 0.0]
    for work in forms:
        work(images, labels, 0)  # compiled, and warm
    for _ in range(runs):
        for i, work in enumerate(forms):
            best[i] = max(best[i], images_per_second(work, images, labels, seconds))
    keras, ours = (round(value, 1) for value in best)
    return Speed(side, name, count, keras, ours, PREDICTED.get((side, name)))


def _body() -> None:
    expect_writable(FLAGS.json)
    results = []
    for side in BATCHES:
        for name in RECIPES:
            found = measure(side, name, FLAGS.runs, FLAGS.seconds, FLAGS.seed)
            results.append(found)
            print(
                f"{side:>4} px {name:<8} Keras' layers {found.keras:>9,.0f}   ours "
                f"{found.ours:>9,.0f} images per CPU second   {found.times:.1f} times",
                flush=True,
            )
    if FLAGS.json:
        report = {
            "command": typed_command("benchmarks.augmentation_speed"),
            "cores": len(os.sched_getaffinity(0)),
            "versions": versions_of("numpy", "tensorflow", "keras"),
            "goal_times": GOAL,
            "results": [{**dataclasses.asdict(r), "times": round(r.times, 1)} for r in results],
        }
        write_json(FLAGS.json, report)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints; writes JSON if asked."""
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
