# SPDX-License-Identifier: Apache-2.0
"""RandAugment (Cubuk et al., NeurIPS 2020) of a batch, each image for itself.

The eleven operations and the ranges of their strengths are those of `keras.layers.RandAugment`;
that layer draws one choice for all images of a call, here every image has its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from keras_models.training.augmentation import colour
from keras_models.training.augmentation.geometry import (
    affine,
    rotation_matrix,
    shear_matrix,
    translation_matrix,
)

Floats = NDArray[np.float32]

DRAWS = 3  # uniform numbers that an operation may use
_BITS = 8


@dataclasses.dataclass(frozen=True)
class Strength:
    """The uniform numbers of some images for one operation, and the recipe's factor.

    Attributes:
      drawn: (n, DRAWS), 0..1.
      factor: 0..1.
      height, width: of the images.
    """

    drawn: Floats
    factor: np.float32
    height: int
    width: int

    def up_to(self, draw: int, scale: float = 1.0) -> Floats:
        """From 0 to factor * scale, (n,)."""
        return self.drawn[:, draw] * (self.factor * np.float32(scale))


def _shear(by: Strength) -> Floats:
    sign = np.where(by.drawn[:, 2] > 0.5, np.float32(-1), np.float32(1))
    return shear_matrix(by.up_to(0) * sign, by.up_to(1) * sign)


def _translation(by: Strength) -> Floats:
    return translation_matrix(by.up_to(0, by.width), by.up_to(1, by.height))


def _rotation(by: Strength) -> Floats:
    return rotation_matrix(by.up_to(0, 2 * np.pi), by.height, by.width)


def _bits(by: Strength) -> NDArray[np.uint8]:
    """Of posterization: 1 up to, but not with, factor * 8."""
    choices = max(1, int(_BITS * float(by.factor)) - 1)
    return (1 + (by.drawn[:, 0] * choices).astype(np.int32).clip(0, choices - 1)).astype(np.uint8)


Matrix = Callable[[Strength], Floats]
Operation = Callable[[Floats, Strength], Floats]

MOVES: tuple[Matrix, ...] = (_shear, _translation, _rotation)

OPERATIONS: tuple[Operation, ...] = (
    lambda x, by: colour.brightness(x, by.up_to(0, 255)),
    lambda x, by: colour.color_degeneration(x, by.up_to(0)),
    lambda x, by: colour.contrast(x, np.float32(1) + by.up_to(0)),
    lambda x, by: colour.sharpness(x, by.up_to(0, 2)),
    lambda x, by: colour.posterization(x, _bits(by)),
    lambda x, by: colour.solarization(x, by.up_to(0, 255), by.up_to(1, 255)),
    lambda x, by: colour.auto_contrast(x),
    lambda x, by: colour.equalization(x),
)

COUNT = len(MOVES) + len(OPERATIONS)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is done with each image.

    Attributes:
      operations: (n, steps), numbers of operations: MOVES, then OPERATIONS.
      drawn: (n, COUNT, DRAWS), 0..1; an operation that is chosen twice has the same strength twice.
    """

    operations: NDArray[np.int64]
    drawn: Floats


def draw(rng: np.random.Generator, count: int, steps: int) -> Choice:
    """Choices for `count` images."""
    operations = rng.integers(0, COUNT, (count, steps))
    return Choice(operations, rng.random((count, COUNT, DRAWS), dtype=np.float32))


def apply(images: Floats, choice: Choice, factor: float) -> Floats:
    """Planes (n, channels, height, width) 0..255 -> the same, step after step."""
    out = images.copy()
    for step in range(choice.operations.shape[1]):
        chosen = choice.operations[:, step]
        _move(out, chosen, choice.drawn, factor)
        for number, operation in enumerate(OPERATIONS, len(MOVES)):
            rows = np.flatnonzero(chosen == number)
            if len(rows):
                by = _strength(out, choice.drawn[rows, number], factor)
                out[rows] = operation(out[rows], by)
    return out


def _move(images: Floats, chosen: NDArray[np.int64], drawn: Floats, factor: float) -> None:
    """All affine operations of a step in one go, in place."""
    rows = np.flatnonzero(chosen < len(MOVES))
    by = [_strength(images, drawn[rows, number], factor) for number in range(len(MOVES))]
    matrices = np.stack([matrix(each) for matrix, each in zip(MOVES, by, strict=True)])
    images[rows] = affine(images[rows], matrices[chosen[rows], np.arange(len(rows))], "reflect")


def _strength(images: Floats, drawn: Floats, factor: float) -> Strength:
    return Strength(drawn, np.float32(factor), images.shape[2], images.shape[3])
