# SPDX-License-Identifier: Apache-2.0
"""How many test texts the training split has nearly: what languages and topics are flattered by.

A text is near another where half of the pieces of eight bytes that stand in it stand in the other.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 8
NEAR = 0.5


@dataclasses.dataclass(frozen=True)
class NearTexts:
    """Test texts that stand in the training split as they are, and those near one of it (the former
    among them); how many of the others are classified rightly."""

    texts: int
    equal: int
    near: int
    right_of_others: int


def _pieces(text: bytes) -> set[bytes]:
    last = max(1, len(text) - PIECE_BYTES + 1)
    return {text[at : at + PIECE_BYTES] for at in range(last)}


def near_texts(train: Sequence[bytes], test: Sequence[bytes]) -> tuple[int, NDArray[np.bool_]]:
    """(number of test texts that are in `train`, which of them are near a text of it)."""
    places: dict[bytes, list[int]] = collections.defaultdict(list)
    for number, text in enumerate(train):
        for piece in _pieces(text):
            places[piece].append(number)
    near = np.zeros(len(test), bool)
    for number, text in enumerate(test):
        pieces = _pieces(text)
        shared = collections.Counter(n for piece in pieces for n in places.get(piece, ()))
        near[number] = max(shared.values(), default=0) >= NEAR * len(pieces)
    known = set(train)
    return sum(text in known for text in test), near


def counted(train: Sequence[bytes], test: Sequence[bytes], right: NDArray[np.bool_]) -> NearTexts:
    """The figures.

    Args:
      right: whether a network classifies each test text rightly.
    """
    equal, near = near_texts(train, test)
    return NearTexts(len(test), equal, int(near.sum()), int(right[~near].sum()))
