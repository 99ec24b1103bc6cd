# SPDX-License-Identifier: Apache-2.0
"""`cifar10` and `imagenet2012` by name through tensorflow-datasets.

`tfds.data_source` reads records at random and without TensorFlow. CIFAR-10 is downloaded by
tensorflow-datasets on first use; ImageNet must be obtained by hand, and tensorflow-datasets says
where to put it. The catalogue's test (ImageNet: validation) split is the test split; validation is
a tenth (ImageNet: a hundredth) of its train split.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_models.datasets.core import (
    Dataset,
    DatasetError,
    Images,
    Indices,
    Labels,
    Split,
    partition,
)
from keras_models.datasets.images import fit_image


@dataclasses.dataclass(frozen=True)
class TfdsEntry:
    """How a data set of the catalogue maps to our splits."""

    name: str
    test_split: str
    validation_fraction: float


TFDS = {
    "cifar10": TfdsEntry("cifar10", "test", 0.1),
    "imagenet2012": TfdsEntry("imagenet2012", "validation", 0.01),
}


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """A random-access tensorflow-datasets split, scaled and cropped like image files."""

    records: Any
    size: int
    channels: int
    name: str

    def __len__(self) -> int:
        return len(self.records)

    def load(self, indices: Indices) -> tuple[Images, Labels]:
        records = [self.records[int(i)] for i in indices]
        images = np.stack([self._fit(np.asarray(record["image"])) for record in records])
        return images, np.asarray([record["label"] for record in records], np.int32)

    def labels(self) -> Labels | None:
        return None

    def key(self, index: int) -> str:
        return f"{self.name}/{index}"

    def _fit(self, image: Images) -> Images:
        from PIL import Image

        if image.shape == (self.size, self.size, self.channels):
            return image
        return fit_image(Image.fromarray(image.squeeze()), self.size, self.channels)


def load_tfds(name: str, data_dir: str, image_size: int, channels: int = 3) -> Dataset:
    """A data set of the catalogue as a `Dataset`.

    Raises:
      DatasetError: tensorflow-datasets is not installed, or cannot download or find the data.
    """
    entry = TFDS[name]
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DatasetError(f"--dataset={name} needs tensorflow-datasets: {error}") from error
    try:
        builder = tfds.builder(name, data_dir=data_dir or None, file_format="array_record")
        builder.download_and_prepare()
        train_records = builder.as_data_source(split="train")
        test_records = builder.as_data_source(split=entry.test_split)
    except Exception as error:  # the catalogue raises many kinds: network, manual download, disk
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        where = data_dir or "tensorflow-datasets' own folder"
        raise DatasetError(
            f"--dataset={name}: tensorflow-datasets cannot provide it in {where}: {reason}"
        ) from error
    names = tuple(str(each) for each in builder.info.features["label"].names)
    train = TfdsSource(train_records, image_size, channels, "train")
    test = TfdsSource(test_records, image_size, channels, entry.test_split)
    for_validation, for_train = partition(None, len(train), (entry.validation_fraction,))
    return Dataset(
        name=name,
        class_names=names,
        image_size=image_size,
        channels=channels,
        train=Split("train", train, for_train),
        validation=Split("validation", train, for_validation),
        test=Split("test", test, np.arange(len(test))),
    )
