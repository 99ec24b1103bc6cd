# SPDX-License-Identifier: Apache-2.0
"""Pieces of text as squares of bytes (`python -m keras_models.cut_texts`)."""

from __future__ import annotations

import functools

from keras_models.datasets.made import Array, MadeData, check_labels
from keras_models.datasets.normalization import BYTES
from keras_models.text.definitions import TOPICS
from keras_models.text.manpages import LANGUAGES

KEYS = ("text", "labels")  # of a split's file
LANGUAGE_SIDE, TOPIC_SIDE = 6, 12  # 36 and 144 bytes


def _check(labels: Array, count: int, classes: int) -> None:
    check_labels(labels, count, classes)


PAGE_LANGUAGES, DEFINITION_TOPICS = (
    MadeData(
        name, "keras_models.cut_texts", "texts", KEYS[0], (side, side, 1), KEYS[1],
        functools.partial(_check, classes=len(names)), names, kept_as="int32", normalization=BYTES,
    )
    for name, side, names in (
        ("page_languages", LANGUAGE_SIDE, LANGUAGES),
        ("definition_topics", TOPIC_SIDE, TOPICS),
    )
)  # fmt: skip
