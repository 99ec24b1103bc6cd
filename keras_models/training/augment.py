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

Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Augment(keras.layers.Layer):  # type: ignore[misc]
    """{"images": (batch, h, w, c) 0..255, "labels": (batch, classes)} -> the same, augmented.

    Order as in DeiT: flip and geometry, RandAugment, random erasing, then mixup or cutmix.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__(dtype="float32")
        self.recipe = recipe
        self.seed_generator = keras.random.SeedGenerator(seed)
        layers = keras.layers
        self.geometry: list[Any] = []
        if recipe.flip:
            self.geometry.append(layers.RandomFlip("horizontal", seed=seed + 1))
        fill: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0}
        if recipe.translation:
            shift = recipe.translation
            # Nearest: shifts by whole pixels, as a random crop does, and blurs nothing.
            self.geometry.append(
                layers.RandomTranslation(
                    shift, shift, interpolation="nearest", seed=seed + 2, **fill
                )
            )
        if recipe.rotation:
            self.geometry.append(layers.RandomRotation(recipe.rotation, seed=seed + 3, **fill))
        if recipe.zoom:
            self.geometry.append(layers.RandomZoom(recipe.zoom, seed=seed + 4, **fill))
        self.rand_augment = layers.RandAugment(
            PIXEL_RANGE, recipe.randaugment_ops, recipe.randaugment_factor, seed=seed + 5
        )
        self.erasing = layers.RandomErasing(
            1.0, ERASED_AREA, value_range=PIXEL_RANGE, seed=seed + 6
        )
        self.mixup = layers.MixUp(recipe.mixup or 1.0, seed=seed + 7)
        self.cutmix = layers.CutMix((recipe.cutmix, recipe.cutmix), seed=seed + 8)

    def build(self, input_shape: Any) -> None:
        """Nothing to build: no layer here has weights."""

    def call(self, batch: dict[str, Any]) -> dict[str, Any]:
        images, labels = batch["images"], batch["labels"]
        for layer in self.geometry:
            images = layer(images, training=True)
        if self.recipe.randaugment_ops:
            images = self._rand_augment(images)
        if self.recipe.random_erasing:
            images = self.erasing(images, training=True)
        return self._mix({"images": images, "labels": labels})

    def _rand_augment(self, images: Any) -> Any:
        """Keras' RandAugment treats all images of a call alike: call it on parts of the batch."""
        groups = self.recipe.randaugment_groups
        if groups < 2 or images.shape[0] % groups:
            return self.rand_augment(images, training=True)
        parts = keras.ops.split(images, groups, axis=0)
        return keras.ops.concatenate([self.rand_augment(p, training=True) for p in parts], axis=0)

    def _draw(self, shape: tuple[int, ...]) -> Any:
        return keras.random.uniform(shape, seed=self.seed_generator)

    def _mix(self, batch: dict[str, Any]) -> dict[str, Any]:
        recipe = self.recipe
        kinds = [layer for layer, on in self._mixers() if on]
        if not kinds or not recipe.mix_probability:
            return batch
        mixed = [layer(dict(batch), training=True) for layer in kinds]
        first = self._draw(()) < 0.5
        chosen = self._draw(()) < recipe.mix_probability

        def pick(key: str) -> Any:
            value = mixed[0][key]
            if len(mixed) > 1:
                value = keras.ops.where(first, value, mixed[1][key])
            return keras.ops.where(chosen, value, batch[key])

        return {"images": pick("images"), "labels": pick("labels")}

    def _mixers(self) -> tuple[tuple[Any, bool], ...]:
        return (self.mixup, self.recipe.mixup > 0), (self.cutmix, self.recipe.cutmix > 0)


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


def compile_augment(augment: Augment) -> Callable[[Any, Any], Batch]:
    """A function (images, one-hot labels) -> augmented NumPy arrays, compiled for the backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _for_tensorflow(augment)
    if backend == "jax":
        return _for_jax(augment)
    return functools.partial(_eager, augment)


def _eager(augment: Augment, images: Any, labels: Any) -> Batch:
    out = augment({"images": images, "labels": labels})
    return keras.ops.convert_to_numpy(out["images"]), keras.ops.convert_to_numpy(out["labels"])


def _for_tensorflow(augment: Augment) -> Callable[[Any, Any], Batch]:
    import tensorflow as tf

    compiled = tf.function(lambda images, labels: augment({"images": images, "labels": labels}))

    def run(images: Any, labels: Any) -> Batch:
        out = compiled(tf.constant(images), tf.constant(labels))
        return out["images"].numpy(), out["labels"].numpy()

    return run


def _for_jax(augment: Augment) -> Callable[[Any, Any], Batch]:
    import jax

    augment.built = True

    @jax.jit  # type: ignore[untyped-decorator]
    def compiled(state: Any, images: Any, labels: Any) -> Any:
        return augment.stateless_call([], state, {"images": images, "labels": labels})

    def run(images: Any, labels: Any) -> Batch:
        variables = augment.non_trainable_variables
        out, state = compiled([v.value for v in variables], images, labels)
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        return np.asarray(out["images"]), np.asarray(out["labels"])

    return run
