# SPDX-License-Identifier: Apache-2.0
"""Data sets for training, calibration and evaluation, in NumPy; none of it needs TensorFlow.

`load_dataset(name, ...)` is what `--dataset` means everywhere.
"""

from __future__ import annotations

from keras_models.datasets.canvases import CANVASES
from keras_models.datasets.core import (
    ArraySource,
    Dataset,
    DatasetError,
    Split,
    normalize,
)
from keras_models.datasets.digits import load_digits
from keras_models.datasets.folder import load_folder
from keras_models.datasets.fractals import load_fractals
from keras_models.datasets.images import load_images, load_pixels
from keras_models.datasets.made import MadeData
from keras_models.datasets.questions import SHAPE_QUESTIONS
from keras_models.datasets.scenes import SCENES
from keras_models.datasets.speech import SPOKEN_DIGITS
from keras_models.datasets.texts import TEXTS
from keras_models.datasets.tfds import TFDS, load_tfds

_MADE: dict[str, MadeData] = {
    made.name: made
    for made in (
        *SCENES,
        SPOKEN_DIGITS,
        CANVASES,
        *TEXTS,
        SHAPE_QUESTIONS,
    )
}  # by commands of the toolkit
FRACTALS = "fractals"  # made where they are loaded
_WITHOUT_FOLDER = ("digits", FRACTALS)
DATASETS = ("digits", FRACTALS, "image_folder", *TFDS, *_MADE)


def load_dataset(name: str, data_dir: str = "", *, image_size: int, channels: int) -> Dataset:
    """Loads a data set at the size a network wants.

    Args:
      name: one of `DATASETS`.
      data_dir: folder of `image_folder` and of what the toolkit makes; for "cifar10" and
        "imagenet2012", where tensorflow-datasets keeps data.
      image_size: side in pixels.
      channels: 1 or 3.

    Raises:
      DatasetError: unknown name, a folder for a data set that is in none, or missing or unreadable
        data; the message names it.
    """
    if data_dir and name in _WITHOUT_FOLDER:
        raise DatasetError(
            f"--dataset={name} is in no folder, got --data_dir={data_dir}: leave it out, or name "
            "the data set that is there, as --dataset=image_folder"
        )
    if name == "digits":
        return load_digits(image_size, channels)
    if name == FRACTALS:
        return load_fractals(image_size, channels)
    if name == "image_folder":
        return load_folder(data_dir, image_size, channels)
    if name in _MADE:
        return _MADE[name].load(data_dir, image_size, channels)
    if name in TFDS:
        return load_tfds(name, data_dir, image_size, channels)
    raise DatasetError(f"dataset {name!r} does not exist, expected one of {', '.join(DATASETS)}")


__all__ = [
    "DATASETS",
    "FRACTALS",
    "ArraySource",
    "Dataset",
    "DatasetError",
    "Split",
    "load_dataset",
    "load_images",
    "load_pixels",
    "normalize",
]
