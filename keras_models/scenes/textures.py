# SPDX-License-Identifier: Apache-2.0
"""Random textures of two colors: noise in octaves, stripes, checks or dots."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

SIDE = 64
_OCTAVES = range(2, 7)


def _noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """Value noise, 0..1."""
    total = np.zeros((SIDE, SIDE))
    for octave in _OCTAVES:
        cells = rng.random((2**octave, 2**octave))
        total += np.kron(cells, np.ones((SIDE // 2**octave,) * 2)) / 2**octave
    found: NDArray[np.float64] = (total - total.min()) / np.ptp(total)
    return found


def _pattern(rng: np.random.Generator, kind: int) -> NDArray[np.float64]:
    """Stripes (0), checks (1) or dots (2) at a random angle and size, 0 and 1."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle, periods = rng.uniform(0, np.pi), int(rng.integers(2, 9))
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    wave = np.sin(2 * np.pi * periods * u)
    if kind == 1:
        wave = wave * np.sin(2 * np.pi * periods * v)
    if kind == 2:
        wave = np.hypot(u * periods % 1 - 0.5, v * periods % 1 - 0.5) - 0.3
    found: NDArray[np.float64] = (wave > 0).astype(np.float64)
    return found


def texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random texture (SIDE, SIDE, 3)."""
    kind = int(rng.integers(4))
    share = (_noise(rng) if kind == 3 else _pattern(rng, kind))[..., None]
    first, second = rng.integers(0, 256, (2, 3))
    pixels = share * first + (1 - share) * second + rng.normal(0, 8, (SIDE, SIDE, 3))
    found: NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return found


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The texture as a file's content."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
