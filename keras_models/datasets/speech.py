# SPDX-License-Identifier: Apache-2.0
"""Spoken digits (`python -m keras_models.speak_words`): spectrograms of a second, 12 classes."""

from __future__ import annotations

import os

import numpy as np

from keras_models.datasets.core import ArraySource, Dataset, DatasetError, Split
from keras_models.datasets.scenes import SPLITS, split_file
from keras_models.speech.spectrogram import BANDS, ROWS
from keras_models.speech.words import CLASSES
from tflm_vit.files import reading

SPOKEN_DIGITS = "spoken_digits"
_SHAPE = (ROWS, BANDS, 1)


def _source(path: str) -> ArraySource:
    with reading(path, "spoken digits", DatasetError), np.load(path) as file:
        images, labels = file["spectrograms"], file["labels"].astype(np.int32)
        if images.shape != (len(labels), *_SHAPE) or images.dtype != np.uint8:
            raise DatasetError(
                f"got {images.dtype} {list(images.shape)}, expected bytes [n, 40, 40, 1]"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(CLASSES):
            raise DatasetError(f"labels: got {labels.min()} to {labels.max()}, expected 0 to 11")
        return ArraySource(images, labels)


def load_speech(data_dir: str, image_size: int, channels: int) -> Dataset:
    """The data set; a folder of the test split alone, of another synthesizer, is one to score on.

    Raises:
      DatasetError: no folder, no test split, an unreadable file, or another size of picture.
    """
    if not data_dir:
        raise DatasetError(
            f"--dataset={SPOKEN_DIGITS} needs --data_dir=FOLDER; python -m "
            "keras_models.speak_words --out=FOLDER makes one"
        )
    if (image_size, channels) != (ROWS, 1):
        raise DatasetError(
            f"--dataset={SPOKEN_DIGITS} has spectrograms of {ROWS} x {BANDS} and one channel, the "
            f"network takes {image_size} and {channels}: take a network for {ROWS} and 1"
        )
    empty = ArraySource(np.zeros((0, *_SHAPE), np.uint8), np.zeros(0, np.int32))
    splits = []
    for split in SPLITS:
        path = split_file(data_dir, split)
        source = _source(path) if split == "test" or os.path.exists(path) else empty
        splits.append(Split(split, source, np.arange(len(source))))
    return Dataset(SPOKEN_DIGITS, CLASSES, ROWS, 1, *splits)
