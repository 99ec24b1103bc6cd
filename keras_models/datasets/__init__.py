# SPDX-License-Identifier: Apache-2.0
"""Data sets for training, calibration and evaluation, in NumPy; none of it needs TensorFlow.

`load_dataset(name, ...)` is what `--dataset` means everywhere.
"""

from __future__ import annotations

from keras_models.datasets.core import (
    ArraySource,
    Dataset,
    DatasetError,
    Split,
    normalize,
)
from keras_models.datasets.digits import load_digits
from keras_models.datasets.folder import load_folder
from keras_models.datasets.images import load_images, load_pixels
from keras_models.datasets.scenes import SCENES, load_scenes
from keras_models.datasets.speech import SPOKEN_DIGITS, load_speech
from keras_models.datasets.tfds import TFDS, load_tfds

DATASETS = ("digits", "image_folder", *TFDS, *SCENES, SPOKEN_DIGITS)


def load_dataset(name: str, data_dir: str = "", *, image_size: int, channels: int) -> Dataset:
    """Loads a data set at the size a network wants.

    Args:
      name: one of `DATASETS`.
      data_dir: folder of `image_folder` and of rendered scenes; for "cifar10" and "imagenet2012",
        where tensorflow-datasets keeps data.
      image_size: side in pixels.
      channels: 1 or 3.

    Raises:
      DatasetError: unknown name, or missing or unreadable data; the message names it.
    """
    if name == "digits":
        return load_digits(image_size, channels)
    if name == "image_folder":
        return load_folder(data_dir, image_size, channels)
    if name in SCENES:
        return load_scenes(name, data_dir, image_size, channels)
    if name == SPOKEN_DIGITS:
        return load_speech(data_dir, image_size, channels)
    if name in TFDS:
        return load_tfds(name, data_dir, image_size, channels)
    raise DatasetError(f"dataset {name!r} does not exist, expected one of {', '.join(DATASETS)}")


__all__ = [
    "DATASETS",
    "ArraySource",
    "Dataset",
    "DatasetError",
    "Split",
    "load_dataset",
    "load_images",
    "load_pixels",
    "normalize",
]
