# SPDX-License-Identifier: Apache-2.0
"""Spoken digits (`python -m keras_models.speak_words`): spectrograms of a second, 12 classes."""

from __future__ import annotations

from keras_models.datasets.made import Array, MadeData, check_labels
from keras_models.speech.spectrogram import BANDS, ROWS
from keras_models.speech.words import CLASSES

KEYS = ("spectrograms", "labels")  # of a split's file


def _check(labels: Array, count: int) -> None:
    check_labels(labels, count, len(CLASSES))


# A folder of the test split alone, of other voices, is one to score on.
SPOKEN_DIGITS = MadeData(
    "spoken_digits", "keras_models.speak_words", "spectrograms", KEYS[0], (ROWS, BANDS, 1), KEYS[1],
    _check, CLASSES, test_only=True, kept_as="int32",
)  # fmt: skip
