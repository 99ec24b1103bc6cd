# SPDX-License-Identifier: Apache-2.0
"""A piece of text as a square of bytes, row by row, with zeros behind its end.

It is what a network of `vocabulary` tokens takes: each byte is a token.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Piece = NDArray[np.uint8]
_PARTS = 10  # of which one is for the test, one for validation


def as_square(text: bytes, side: int) -> Piece:
    """The first side * side bytes as (side, side, 1)."""
    row = np.zeros(side * side, np.uint8)
    kept = np.frombuffer(text[: side * side], np.uint8)
    row[: len(kept)] = kept
    return row.reshape(side, side, 1)


def split_of(name: str) -> str:
    """The split that a page or a word belongs to, whatever else there is."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") % _PARTS
    return {0: "test", 1: "validation"}.get(number, "train")


def window(text: bytes, count: int, rng: np.random.Generator) -> bytes:
    """So many bytes of a longer text, from a word's start at random, whole characters only."""
    last = max(1, len(text) - count)
    start = text.rfind(b" ", 0, int(rng.integers(last)) + 1) + 1
    return text[start : start + count].decode("utf-8", "ignore").encode()
