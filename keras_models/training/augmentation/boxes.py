# SPDX-License-Identifier: Apache-2.0
"""Boxes of a batch's images: drawn, erased, filled. Images are planes (n, c, height, width)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ERASED_AREA = (0.02, 0.33)  # share of a side, squared (Zhong et al., AAAI 2020)
GREY = np.float32(127.5)  # 0 in what the network sees
TOP = 255.0


@dataclasses.dataclass(frozen=True)
class Boxes:
    """One box for each image, in pixels; start included, stop not.

    Attributes:
      top, bottom, left, right: (n,).
      area: (n,), share of the image before rounding to whole pixels.
    """

    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    area: Floats

    def slices(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each."""
        sides = zip(self.top, self.bottom, self.left, self.right, strict=True)
        return ((slice(t, b), slice(left, right)) for t, b, left, right in sides)


def inside(
    rng: np.random.Generator, shares: tuple[Floats, Floats], height: int, width: int
) -> Boxes:
    """Boxes that lie in the image, anywhere.

    Args:
      shares: (n,) and (n,), of the height and of the width, 0..1.
    """
    ends, lengths = [], []
    for share, side in zip(shares, (height, width), strict=True):
        length = share * side
        start = rng.random(len(share)) * (side - length)
        # A pixel belongs to the box if its middle does.
        ends += [np.rint(start).astype(np.int64), np.rint(start + length).astype(np.int64)]
        lengths.append(length)
    area = (lengths[0] * lengths[1] / (height * width)).astype(np.float32)
    return Boxes(ends[0], ends[1], ends[2], ends[3], area)


def about(rng: np.random.Generator, count: int, side: int, height: int, width: int) -> Boxes:
    """Squares with their centres anywhere in the image; what lies outside is cut off."""
    ends = []
    for length in (height, width):
        start = rng.integers(0, length, count) - (side - 1) // 2
        ends += [np.maximum(start, 0), np.minimum(start + side, length)]
    top, bottom, left, right = ends
    area = ((bottom - top) * (right - left) / (height * width)).astype(np.float32)
    return Boxes(top, bottom, left, right, area)


def erase(images: Floats, probability: float, rng: np.random.Generator) -> None:
    """Random erasing (Zhong et al., AAAI 2020), in place: a box becomes noise of 0..255.

    Height and width are drawn apart, each the root of a share in ERASED_AREA; the noise is normal
    with a deviation of 255, cut off at 0 and 255, as `keras.layers.RandomErasing` has it.
    """
    chosen = np.flatnonzero(rng.random(len(images)) < probability)
    shares = np.sqrt(rng.uniform(*ERASED_AREA, (2, len(chosen))))
    found = inside(rng, (shares[0], shares[1]), images.shape[2], images.shape[3])
    for i, (rows, columns) in zip(chosen, found.slices(), strict=True):
        box = images[i, :, rows, columns]
        noise = rng.standard_normal(box.shape, dtype=np.float32)
        box[...] = np.clip(noise * np.float32(TOP), 0, TOP)


def cut_out(images: Floats, side: int, rng: np.random.Generator) -> None:
    """Cut-out (DeVries and Taylor, 2017), in place: a square of every image becomes grey."""
    found = about(rng, len(images), side, images.shape[2], images.shape[3])
    for image, (rows, columns) in zip(images, found.slices(), strict=True):
        image[:, rows, columns] = GREY
