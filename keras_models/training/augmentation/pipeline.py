# SPDX-License-Identifier: Apache-2.0
"""A recipe's augmentation of a batch, step after step."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from keras_models.training.augmentation import boxes, mixing, randaugment
from keras_models.training.augmentation.geometry import (
    Fill,
    affine,
    mirror,
    rotation_matrix,
    shift,
    zoom_matrix,
)
from keras_models.training.recipe import Recipe

Floats = NDArray[np.float32]


class Augment:
    """A recipe's augmentation of NumPy batches; it keeps no state between them.

    Order as in DeiT: mirror and geometry, RandAugment, random erasing, mixup or cutmix.

    Args:
      recipe: what to do.
      seed: of everything that is drawn, with the epoch's and the batch's number.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed

    def __call__(
        self, images: NDArray[Any], labels: Floats, epoch: int, batch: int
    ) -> tuple[Floats, Floats]:
        """Augments a batch.

        Args:
          images: uint8 or float32 (n, h, w, c), 0..255; not changed.
          labels: float32 (n, classes), rows sum to 1.
          epoch, batch: what is drawn depends on them and the seed only.

        Returns:
          float32 images (n, h, w, c), 0..255, and labels.
        """
        rng = np.random.default_rng((self.seed, epoch, batch))
        moved = self._moved(images, rng)
        # A copy whatever the input: boxes are filled in place.
        planes = np.array(moved.transpose(0, 3, 1, 2), np.float32, order="C")
        planes = self._changed(planes, rng)
        planes, labels = self._mixed(planes, labels, rng)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels

    def _moved(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Mirror and shift by whole pixels, as a random crop does: nothing is blurred."""
        recipe, count = self.recipe, len(images)
        if recipe.flip:
            images = mirror(images, rng.random(count) < 0.5)
        if recipe.translation:
            share = rng.uniform(-recipe.translation, recipe.translation, (2, count))
            pixels = np.rint(share * [[images.shape[1]], [images.shape[2]]]).astype(np.int64)
            images = shift(images, pixels[0], pixels[1], cast(Fill, recipe.translation_fill))
        return images

    def _changed(self, planes: Floats, rng: np.random.Generator) -> Floats:
        recipe, (count, _, height, width) = self.recipe, planes.shape

        def drawn(limit: float) -> Floats:
            return np.asarray(rng.uniform(-limit, limit, count), np.float32)

        if recipe.rotation:
            turn = drawn(2 * np.pi * recipe.rotation)
            planes = affine(planes, rotation_matrix(turn, height, width), "zero")
        if recipe.zoom:
            scale = np.float32(1) + drawn(recipe.zoom)
            planes = affine(planes, zoom_matrix(scale, height, width), "zero")
        if recipe.randaugment_ops:
            choice = randaugment.draw(rng, count, recipe.randaugment_ops)
            planes = randaugment.apply(planes, choice, recipe.randaugment_factor)
        if recipe.random_erasing:
            boxes.erase(planes, recipe.random_erasing, rng)
        if recipe.cutout:
            boxes.cut_out(planes, recipe.cutout, rng)
        return planes

    def _mixed(
        self, planes: Floats, labels: Floats, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Mixup or cutmix of the batch, or neither."""
        recipe, (count, _, height, width) = self.recipe, planes.shape
        kinds = [kind for kind in ("mixup", "cutmix") if getattr(recipe, kind)]
        if not kinds or rng.random() >= recipe.mix_probability:
            return planes, labels
        kind = kinds[int(rng.integers(len(kinds)))]
        other = rng.permutation(count)
        if kind == "mixup":
            return mixing.mixup(planes, labels, mixing.draw_share(rng, recipe.mixup, count), other)
        found = mixing.draw_boxes(rng, recipe.cutmix, count, height, width)
        return mixing.cutmix(planes, labels, found, other)
