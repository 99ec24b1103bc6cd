# SPDX-License-Identifier: Apache-2.0
"""Pieces of text as squares of bytes or of sub-words (`python -m keras_models.cut_texts`)."""

from __future__ import annotations

import dataclasses
import functools

from keras_models.datasets.made import Array, MadeData, check_labels
from keras_models.datasets.normalization import BYTES
from keras_models.text.definitions import TOPICS
from keras_models.text.manpages import LANGUAGES
from keras_models.text.subwords import TOKEN_BYTES

KEYS = ("text", "labels")  # of a split's file


@dataclasses.dataclass(frozen=True)
class Square:
    """What a text becomes.

    Attributes:
      side: of the square of its tokens.
      vocabulary: number of sub-words; 0: each byte is a token.
    """

    side: int
    vocabulary: int = 0


PAGE_BYTES = 36  # of a piece of a page
LANGUAGE_BYTES, TOPIC_BYTES = Square(6), Square(12)
LANGUAGE_PIECES = Square(4, 4096)
TOPIC_PIECES = Square(6, 8192)  # more than 98 % of the definitions have no more


def _check(labels: Array, count: int, classes: int) -> None:
    check_labels(labels, count, classes)


PAGE_LANGUAGES, PAGE_PIECES, DEFINITION_TOPICS, DEFINITION_PIECES = TEXTS = tuple(
    MadeData(
        name, "keras_models.cut_texts", "texts", KEYS[0],
        (square.side, square.side, TOKEN_BYTES if square.vocabulary else 1), KEYS[1],
        functools.partial(_check, classes=len(names)), names, kept_as="int32", normalization=BYTES,
        subwords=bool(square.vocabulary),
    )
    for name, square, names in (
        ("page_languages", LANGUAGE_BYTES, LANGUAGES),
        ("page_pieces", LANGUAGE_PIECES, LANGUAGES),
        ("definition_topics", TOPIC_BYTES, TOPICS),
        ("definition_pieces", TOPIC_PIECES, TOPICS),
    )
)  # fmt: skip
