# SPDX-License-Identifier: Apache-2.0
"""Fractals to begin a training with: one image a class, made here from a seed, no data needed.

A class is an iterated function system: two to eight affine maps, drawn at random, whose attractor
is the picture (FractalDB: Kataoka et al., ACCV 2020). That one image of each class is enough, if it
is augmented, is OFDB's finding (Nakamura et al., ICCV 2023). Ours differ in how maps are drawn: by
singular values below 1 (Anderson and Farrell, WACV 2022), so that all of them contract, and in
being grey. A class's validation and test images are those of maps that differ by a few percent.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from keras_models.datasets.core import ArraySource, Dataset, DatasetError, Images, Split

CLASSES = 512
VIEWS = 8  # how often an epoch has each training image, augmented each time anew
SEED = 20231
MAPS = (2, 8)  # of a class, least and most
CHAINS, STEPS, BURN_IN = 256, 40, 16  # points that wander at once, and how often they are mapped
LEAST_FILLED, MOST_FILLED = 0.15, 0.85  # share of the pixels that a point of the attractor is in
CHANGED = 0.05  # largest relative change of a map's numbers in another image of its class
_BATCH = 128  # classes that are drawn at once
_MOST_BATCHES = 64  # against a loop without end
LEAST_SIDE = 8

Floats = NDArray[np.floating]


def draw_maps(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """`count` systems of at most `MAPS[1]` maps.

    Returns:
      (maps [count, maps, 2, 3], shares [count, maps]): x -> m[:, :2] x + m[:, 2], taken with a
      probability in proportion to the area it maps to; 0 for maps that a system does not have.
    """
    shape = (count, MAPS[1])
    turn, back = (rng.uniform(0, 2 * np.pi, shape) for _ in range(2))
    large = rng.uniform(0.3, 0.95, shape)
    small = large * rng.uniform(0.2, 1.0, shape)
    mirrored = rng.choice([-1.0, 1.0], shape)
    linear = _rotation(turn) @ (
        _rotation(back) * np.stack([large, small * mirrored], -1)[..., None]
    )
    offset = rng.uniform(-1, 1, (*shape, 2, 1))
    exists = np.arange(MAPS[1]) < rng.integers(MAPS[0], MAPS[1] + 1, (count, 1))
    weight = np.where(exists, np.maximum(large * small, 0.02), 0.0)
    return np.concatenate([linear, offset], -1), weight / weight.sum(1, keepdims=True)


def _rotation(angle: Floats) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def attractors(rng: np.random.Generator, maps: Floats, shares: Floats, side: int) -> Images:
    """Pictures uint8 [systems, side, side] of systems' attractors: brighter where points are
    denser."""
    count = len(maps)
    # Each map in as many of 256 places as its share says, so that one random byte chooses.
    ends = np.rint(256 * np.cumsum(shares, 1)).astype(np.int64)
    table = (np.arange(256) >= ends[:, None, :].swapaxes(1, 2)).sum(1)
    table += MAPS[1] * np.arange(count)[:, None]
    number = np.arange(count)[:, None]
    a, b, e, c, d, f = maps.reshape(-1, 6).T.astype(np.float32)
    x = y = np.zeros((count, CHAINS), np.float32)
    kept = []
    for step in range(STEPS):
        m = table[number, rng.integers(0, 256, (count, CHAINS), np.uint8)]
        x, y = a[m] * x + b[m] * y + e[m], c[m] * x + d[m] * y + f[m]
        if step >= BURN_IN:
            kept.append(np.stack([x, y], -1))
    return _drawn(np.concatenate(kept, 1), side)


def _drawn(points: Floats, side: int) -> Images:
    """Points [systems, n, 2] in squares around each system's own."""
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    size = np.maximum((high - low).max(-1, keepdims=True), 1e-9)
    middle = (high + low) / 2
    at = np.clip(((points - middle) / size + 0.5) * side, 0, side - 1).astype(np.int64)
    count = len(points)
    pixel = (np.arange(count)[:, None] * side + at[..., 1]) * side + at[..., 0]
    hits = np.bincount(pixel.ravel(), minlength=count * side * side)
    density = np.log1p(hits.reshape(count, side, side))
    scale = 255.0 / np.maximum(density.max((1, 2), keepdims=True), 1e-9)
    return np.asarray(np.rint(density * scale).astype(np.uint8))


def _filled(images: Images) -> NDArray[np.bool_]:
    share = (images > 0).mean((1, 2))
    return np.asarray((share >= LEAST_FILLED) & (share <= MOST_FILLED))


@functools.lru_cache(maxsize=4)
def fractals(classes: int, side: int) -> tuple[Images, Images, Images]:
    """Training, validation and test pictures uint8 [classes, side, side], the same each time.

    Raises:
      DatasetError: pictures too small to tell fractals apart.
    """
    if side < LEAST_SIDE:
        raise DatasetError(
            f"--dataset=fractals: got pictures of {side} pixels, expected a network of "
            f"{LEAST_SIDE} pixels or more"
        )
    rng = np.random.default_rng(SEED)
    found: list[tuple[Images, ...]] = []
    have = 0
    for _ in range(_MOST_BATCHES):
        maps, shares = draw_maps(rng, _BATCH)
        pictures = [attractors(rng, maps, shares, side)]
        for _ in range(2):
            factors = rng.uniform(1 - CHANGED, 1 + CHANGED, maps.shape)
            pictures.append(attractors(rng, maps * factors, shares, side))
        good = _filled(pictures[0])
        found.append(tuple(p[good] for p in pictures))
        have += int(good.sum())
        if have >= classes:
            train, validation, test = (
                np.concatenate(part)[:classes] for part in zip(*found, strict=True)
            )
            return train, validation, test
    raise DatasetError(
        f"--dataset=fractals: got {have} fractals, expected {classes}; give a network of another "
        "image size"
    )


def load_fractals(image_size: int, channels: int, classes: int = CLASSES) -> Dataset:
    """The fractals as a `Dataset`; an epoch has each class's training image `VIEWS` times."""
    pictures = fractals(classes, image_size)
    source = ArraySource(
        np.repeat(np.concatenate(pictures)[..., np.newaxis], channels, axis=-1),
        np.tile(np.arange(classes, dtype=np.int32), 3),
    )
    places = np.arange(3 * classes).reshape(3, classes)
    return Dataset(
        name="fractals",
        class_names=tuple(f"fractal{i}" for i in range(classes)),
        image_size=image_size,
        channels=channels,
        train=Split("train", source, np.tile(places[0], VIEWS)),
        validation=Split("validation", source, places[1]),
        test=Split("test", source, places[2]),
    )
