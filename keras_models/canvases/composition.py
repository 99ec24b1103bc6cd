# SPDX-License-Identifier: Apache-2.0
"""Canvases: one to four real pictures of garments on a background of noise, and their boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_models.tasks.box_rows import Edges, around, rows_of

SIDE = 96  # pixels
MOST_ITEMS = 4
GARMENTS = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
            "boot")  # fmt: skip
_SIZES = (20, 48)  # sides of an item, pixels
_OVERLAP = 0.3  # most that two items share of the smaller side, across or down
_TRIES = 20
_OPAQUE = 40  # from this value on an item hides what is behind it
_BLACK = 0.5  # share of opacity that counts as part of the item
_OCTAVES = (2, 3, 5)

Items = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Canvas = tuple[NDArray[np.uint8], NDArray[np.float32]]


def _resized(values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values).resize((side, side), bilinear), np.float64)


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise in octaves between two colors."""
    total = np.zeros((SIDE, SIDE))
    for octave in _OCTAVES:
        total += _resized(rng.random((2**octave, 2**octave), np.float32), SIDE) / 2**octave
    share = ((total - total.min()) / np.ptp(total))[..., None]
    first, second = rng.integers(30, 226, (2, 3))
    found: NDArray[np.float64] = share * first + (1 - share) * second
    return found


def _place(rng: np.random.Generator, used: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Left, top and side of another item; side 0 where no room is found."""
    for _ in range(_TRIES):
        side = int(rng.integers(_SIZES[0], _SIZES[1] + 1))
        x, y = (int(n) for n in rng.integers(0, SIDE - side + 1, 2))
        free = all(
            min(x + side, u + other) - max(x, u) < _OVERLAP * min(side, other)
            or min(y + side, v + other) - max(y, v) < _OVERLAP * min(side, other)
            for u, v, other in used
        )
        if free:
            return x, y, side
    return 0, 0, 0


def canvas(rng: np.random.Generator, items: Items) -> Canvas:
    """A picture uint8 (side, side, 3) and its boxes float32 (MOST_ITEMS, 5), see `box_rows`."""
    images, labels = items
    picture = _background(rng)
    used: list[tuple[int, int, int]] = []
    things: list[tuple[Edges, int]] = []
    for _ in range(int(rng.integers(1, MOST_ITEMS + 1))):
        x, y, side = _place(rng, used)
        if not side:
            break
        used.append((x, y, side))
        chosen = int(rng.integers(len(images)))
        item = images[chosen] if rng.random() < 0.5 else images[chosen][:, ::-1]
        grey = _resized(item.astype(np.float32), side)[..., None]
        opacity = np.clip(grey / _OPAQUE, 0, 1)
        part = picture[y : y + side, x : x + side]
        part[:] = (1 - opacity) * part + opacity * grey * rng.uniform(0.4, 1, 3)
        left, top, right, bottom = around(opacity[..., 0] > _BLACK)
        things.append(((x + left, y + top, x + right, y + bottom), int(labels[chosen])))
    noisy = picture + rng.normal(0, 8, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), rows_of(things, SIDE, MOST_ITEMS)


def canvases(items: Items, count: int, seed: tuple[int, ...]) -> Iterator[Canvas]:
    """Canvases that follow from the seed; see `canvas`."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield canvas(rng, items)
