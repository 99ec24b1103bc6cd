# SPDX-License-Identifier: Apache-2.0
"""Mixup and cutmix of a batch. Images are planes (n, c, height, width), labels (n, classes)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_models.training.augmentation.boxes import Boxes, inside

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def mixup(images: Floats, labels: Floats, share: Floats, other: Indices) -> tuple[Floats, Floats]:
    """share * image + (1 - share) * the other image; labels likewise (Zhang et al., ICLR 2018)."""
    return _blend(images, share, other), _blend(labels, share, other)


def cutmix(images: Floats, labels: Floats, boxes: Boxes, other: Indices) -> tuple[Floats, Floats]:
    """A box of each image comes from the other; labels by its area (Yun et al., ICCV 2019)."""
    out = images.copy()
    for i, (rows, columns) in enumerate(boxes.slices()):
        out[i, :, rows, columns] = images[other[i], :, rows, columns]
    return out, _blend(labels, np.float32(1) - boxes.area, other)


def _blend(values: Floats, share: Floats, other: Indices) -> Floats:
    weight = share.reshape(-1, *(1,) * (values.ndim - 1))
    return values * weight + values[other] * (np.float32(1) - weight)


def draw_share(rng: np.random.Generator, alpha: float, count: int) -> Floats:
    """Beta(alpha, alpha), (count,)."""
    return rng.beta(alpha, alpha, count).astype(np.float32)


def draw_boxes(
    rng: np.random.Generator, alpha: float, count: int, height: int, width: int
) -> Boxes:
    """Boxes of cutmix: their area is 1 - Beta(alpha, alpha), their shape the image's."""
    side = np.sqrt(1 - rng.beta(alpha, alpha, count))
    return inside(rng, (side, side), height, width)
