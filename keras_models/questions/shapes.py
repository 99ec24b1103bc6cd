# SPDX-License-Identifier: Apache-2.0
"""Pictures of six colored shapes, and the answers to all questions about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from keras_models.questions.asking import COLORS, NONE, QUESTIONS, SHAPES, answers

SIDE = 48  # pixels
HALF = 4  # of a shape's side, without its middle
_INK = np.array(
    [(220, 40, 40), (40, 180, 60), (50, 80, 230), (240, 150, 30), (150, 60, 200), (240, 230, 60)],
    np.float64,
)
_PAPER = (180, 250)  # grey values
_NOISE = 6.0
_TRIES = 200
_APART = 2 * HALF + 2  # across or down, so that no two touch
_ROWS, _COLUMNS = np.mgrid[0:SIDE, 0:SIDE]

Posed = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def _places(rng: np.random.Generator, things: int) -> NDArray[np.int64] | None:
    """Middles (things, 2) of things that do not touch; None where no room is found."""
    found: list[NDArray[np.int64]] = []
    for _ in range(_TRIES):
        place = rng.integers(HALF + 1, SIDE - HALF - 1, 2)
        if all(np.abs(place - other).max() >= _APART for other in found):
            found.append(place)
        if len(found) == things:
            return np.stack(found)
    return None


def _clear(places: NDArray[np.int64]) -> bool:
    """Whether each thing has one nearest and one farthest other."""
    if len(places) == 2:
        return True
    apart = np.sort(((places[:, None] - places[None]) ** 2).sum(axis=-1), axis=1)
    return bool((apart[:, 1] != apart[:, 2]).all() and (apart[:, -1] != apart[:, -2]).all())


def scene(
    rng: np.random.Generator, things: int = len(COLORS)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture uint8 (SIDE, SIDE, 3) of so many things, each of another color, and the answers to
    all questions about it (questions,)."""
    shown = np.arange(len(COLORS))
    if things < len(COLORS):
        shown = np.sort(rng.permutation(shown)[:things])
    places = None
    while places is None or not _clear(places):
        places = _places(rng, things)
    shapes = rng.integers(len(SHAPES), size=things)
    picture = np.full((SIDE, SIDE, 3), float(rng.integers(*_PAPER)))
    for (x, y), shape, ink in zip(places, shapes, _INK[shown], strict=True):
        across, down = np.abs(_COLUMNS - x), np.abs(_ROWS - y)
        square = np.maximum(across, down) <= HALF
        circle = across**2 + down**2 <= HALF**2 + 1
        picture[(square, circle)[shape]] = ink
    noisy = picture + rng.normal(0, _NOISE, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), answers(places, shapes, SIDE, shown)


def posed(
    count: int,
    per_picture: int,
    seed: tuple[int, ...],
    among: Sequence[int] = range(len(QUESTIONS)),
    fewest: int = len(COLORS),
) -> Iterator[Posed]:
    """Pictures of `fewest` or more things, of each some of the questions' numbers (per_picture,),
    no two alike, and their answers, that follow from the seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        things = int(rng.integers(fewest, len(COLORS) + 1)) if fewest < len(COLORS) else fewest
        picture, said = scene(rng, things)
        numbers = np.array([n for n in among if said[n] != NONE], np.uint8)
        asked = numbers[rng.permutation(len(numbers))[:per_picture]]
        yield picture, asked, said[asked]
