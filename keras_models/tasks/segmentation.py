# SPDX-License-Identifier: Apache-2.0
"""Which class each pixel is of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.tasks.classification import cross_entropy
from keras_models.tasks.pictures import enlarged, sampled
from keras_models.tasks.scores import Cell, percent
from keras_models.tasks.task import Reals, Shape, Targets, Task


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentationScores:
    """How well classes of pixels are told.

    Attributes:
      images: number of pictures.
      miou: mean over the classes of intersection over union, of classes that occur or that
        somebody says.
      pixels: share of pixels of the right class.
      iou: of each class; nan for one that nobody says and that does not occur.
    """

    images: int
    miou: float
    pixels: float
    iou: tuple[float, ...]

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        return self.miou

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Columns of a table."""
        return (Cell("mIoU %", percent(self.miou), 7), Cell("pixels %", percent(self.pixels), 8))

    def tree(self) -> dict[str, Any]:
        """For a report as JSON."""
        iou = [None if np.isnan(value) else value for value in self.iou]
        return {"images": self.images, "miou": self.miou, "pixels": self.pixels, "iou": iou}


def classes_of(outputs: Reals) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The greatest value's class (n, h, w) of outputs (n, h, w, classes); of equals the first."""
    best: NDArray[np.intp] = np.argmax(outputs, axis=-1)
    return best.astype(np.uint8) if outputs.shape[-1] <= 256 else best.astype(np.uint16)


def _scores(outputs: Reals, targets: Targets) -> SegmentationScores:
    classes = outputs.shape[-1]
    found = enlarged(classes_of(outputs), targets).astype(np.int64)
    pairs = np.bincount((targets.astype(np.int64) * classes + found).ravel(), minlength=classes**2)
    confusion = pairs.reshape(classes, classes).astype(np.float64)
    both = np.diag(confusion)
    either = confusion.sum(0) + confusion.sum(1) - both
    iou = np.where(either > 0, both / np.maximum(either, 1), np.nan)
    return SegmentationScores(
        len(outputs),
        float(np.nanmean(iou)),
        float(both.sum() / confusion.sum()),
        tuple(float(value) for value in iou),
    )


def _agreement(reference: Reals, got: Reals) -> float:
    return float((classes_of(reference) == classes_of(got)).mean())


def _wanted(targets: Targets, shape: Shape) -> Reals:
    return np.eye(shape[-1], dtype=np.float32)[sampled(targets, shape)]


def _watched() -> Any:
    import keras

    return keras.metrics.CategoricalAccuracy(name="pixels")


SEGMENTATION = Task(
    name="segmentation",
    does="Which class each pixel is of.",
    datasets=("scene_labels",),
    dense=True,
    meaning="logit of each class, pixel by pixel",
    figure="miou",
    wanted=_wanted,
    loss=cross_entropy,
    watched=_watched,
    scores=_scores,
    agreement=_agreement,
    drawn=classes_of,
    unit="class",
)
