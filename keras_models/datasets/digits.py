# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's handwritten digits: 1,797 real 8x8 grey images in 10 classes, installed with it.

(Alpaydin and Kaynak, 1998; UCI "Optical Recognition of Handwritten Digits", the test part.)
"""

from __future__ import annotations

import numpy as np

from keras_models.datasets.core import ArraySource, Dataset, DatasetError, Images, Split, partition

SIDE = 8
LEVELS = 16  # pixels are 0..16
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1


def _resize(images: Images, size: int, channels: int) -> Images:
    """Bilinear to size x size, grey repeated over the channels."""
    if size != SIDE:
        from PIL import Image

        images = np.stack(
            [
                np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
                for image in images
            ]
        )
    return np.repeat(images[..., np.newaxis], channels, axis=-1)


def load_digits(image_size: int = SIDE, channels: int = 1) -> Dataset:
    """The digits as a `Dataset`: 70 % training, 10 % validation, 20 % test, class by class."""
    try:
        from sklearn.datasets import load_digits as sklearn_digits
    except ImportError as error:
        raise DatasetError(f"--dataset=digits needs scikit-learn: {error}") from error
    bunch = sklearn_digits()
    grey = np.rint(bunch.images * (255.0 / LEVELS)).astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    source = ArraySource(_resize(grey, image_size, channels), labels)
    test, validation, train = partition(labels, len(labels), (TEST_FRACTION, VALIDATION_FRACTION))
    return Dataset(
        name="digits",
        class_names=tuple(str(n) for n in range(10)),
        image_size=image_size,
        channels=channels,
        train=Split("train", source, train),
        validation=Split("validation", source, validation),
        test=Split("test", source, test),
    )
