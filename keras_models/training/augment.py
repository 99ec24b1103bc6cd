# SPDX-License-Identifier: Apache-2.0
"""Augmentation from Keras' own layers, compiled for whichever backend Keras runs on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_models.training.recipe import Recipe

PIXEL_RANGE = (0.0, 255.0)
ERASED_AREA = (0.02, 0.33)  # of the image (Zhong et al., AAAI 2020)

Array = np.ndarray[Any, Any]


class PerImage(keras.layers.Layer):  # type: ignore[misc]
    """Images (batch, h, w, c) 0..255 -> the same, each changed for itself.

    Order as in DeiT: flip and geometry, RandAugment, random erasing.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__(dtype="float32")
        layers = keras.layers
        self.steps: list[Any] = []
        fill: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0}
        if recipe.flip:
            self.steps.append(layers.RandomFlip("horizontal", seed=seed + 1))
        if recipe.translation:
            shift = recipe.translation
            # Nearest: shifts by whole pixels, as a random crop does, and blurs nothing.
            self.steps.append(
                layers.RandomTranslation(
                    shift, shift, interpolation="nearest", seed=seed + 2, **fill
                )
            )
        if recipe.rotation:
            self.steps.append(layers.RandomRotation(recipe.rotation, seed=seed + 3, **fill))
        if recipe.zoom:
            self.steps.append(layers.RandomZoom(recipe.zoom, seed=seed + 4, **fill))
        if recipe.randaugment_ops:
            self.steps.append(
                layers.RandAugment(
                    PIXEL_RANGE, recipe.randaugment_ops, recipe.randaugment_factor, seed=seed + 5
                )
            )
        if recipe.random_erasing:
            # A single number would be an upper limit of the probability, not the probability.
            rate = (recipe.random_erasing, recipe.random_erasing)
            self.steps.append(
                layers.RandomErasing(rate, ERASED_AREA, value_range=PIXEL_RANGE, seed=seed + 6)
            )

    def build(self, input_shape: Any) -> None:
        """Nothing to build: no layer here has weights."""

    def call(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = batch["images"]
        for step in self.steps:
            images = step(images, training=True)
        return {"images": images}


class Mix(keras.layers.Layer):  # type: ignore[misc]
    """{"images": (batch, h, w, c), "labels": (batch, classes)} -> mixup or cutmix of the batch."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__(dtype="float32")
        self.probability = recipe.mix_probability
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.kinds: list[Any] = []
        if recipe.mixup:
            self.kinds.append(keras.layers.MixUp(recipe.mixup, seed=seed + 7))
        if recipe.cutmix:
            # Keras draws the Beta parameter between the two.
            self.kinds.append(keras.layers.CutMix((recipe.cutmix, recipe.cutmix), seed=seed + 8))

    def build(self, input_shape: Any) -> None:
        """Nothing to build: no layer here has weights."""

    def call(self, batch: dict[str, Any]) -> dict[str, Any]:
        mixed = [kind(dict(batch), training=True) for kind in self.kinds]
        first = keras.random.uniform((), seed=self.seed_generator) < 0.5
        chosen = keras.random.uniform((), seed=self.seed_generator) < self.probability

        def pick(key: str) -> Any:
            value = mixed[0][key]
            if len(mixed) > 1:
                value = keras.ops.where(first, value, mixed[1][key])
            return keras.ops.where(chosen, value, batch[key])

        return {"images": pick("images"), "labels": pick("labels")}


class Augment:
    """A recipe's augmentation of NumPy batches.

    Args:
      recipe: what to do.
      seed: of all random generators, until `start_epoch`.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.seed = seed
        self.groups = recipe.randaugment_groups if recipe.randaugment_ops else 1
        self.per_image = PerImage(recipe, seed)
        self.mix = Mix(recipe, seed)
        self._run_per_image = _compile(self.per_image) if self.per_image.steps else None
        mixes = bool(self.mix.kinds) and recipe.mix_probability > 0
        self._run_mix = _compile(self.mix) if mixes else None

    def start_epoch(self, epoch: int) -> None:
        """Seeds every generator by the epoch's number."""
        reseed(self.per_image, self.seed, epoch)
        reseed(self.mix, self.seed + 1, epoch)

    def __call__(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """Images float32 (batch, h, w, c) 0..255 and one-hot labels -> the same, augmented.

        Keras' RandAugment treats all images of a call alike, so that parts of the batch are
        processed one after the other.
        """
        if self._run_per_image:
            even = self.groups > 1 and len(images) % self.groups == 0
            parts = np.split(images, self.groups) if even else [images]
            images = np.concatenate([self._run_per_image({"images": p})["images"] for p in parts])
        if self._run_mix:
            mixed = self._run_mix({"images": images, "labels": labels})
            images, labels = mixed["images"], mixed["labels"]
        return images, labels


def reseed(layer: Any, seed: int, epoch: int) -> None:
    """Starts every random generator below `layer` afresh for an epoch.

    A resumed training then draws what the uninterrupted one would have drawn.
    """
    for position, each in enumerate(layer._flatten_layers()):
        for name in ("generator", "seed_generator"):
            generator = getattr(each, name, None)
            if generator is not None:
                state = np.random.SeedSequence((seed, epoch, position)).generate_state(2)
                generator.state.assign(state.astype("uint32"))


def _compile(layer: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    """The layer as a function of NumPy arrays, compiled for the backend Keras runs on."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _for_tensorflow(layer)
    if backend == "jax":
        return _for_jax(layer)
    return functools.partial(_eager, layer)


def _eager(layer: Any, batch: dict[str, Array]) -> dict[str, Array]:
    return {key: keras.ops.convert_to_numpy(value) for key, value in layer(dict(batch)).items()}


def _for_tensorflow(layer: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    import tensorflow as tf

    compiled = tf.function(lambda batch: layer(dict(batch)))

    def run(batch: dict[str, Array]) -> dict[str, Array]:
        out = compiled({key: tf.constant(value) for key, value in batch.items()})
        return {key: value.numpy() for key, value in out.items()}

    return run


def _for_jax(layer: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    import jax

    layer.built = True

    @jax.jit  # type: ignore[untyped-decorator]
    def compiled(state: Any, batch: Any) -> Any:
        return layer.stateless_call([], state, batch)

    def run(batch: dict[str, Array]) -> dict[str, Array]:
        variables = layer.non_trainable_variables
        out, state = compiled([v.value for v in variables], batch)
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        return {key: np.asarray(value) for key, value in out.items()}

    return run
