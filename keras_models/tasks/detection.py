# SPDX-License-Identifier: Apache-2.0
"""Where things are and what they are: a box and a class for each.

Each token says one box, see `keras_models.tasks.boxes`. A token answers for the thing in whose
box its middle is, at most one token from the box's middle, the smallest of several.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_models.tasks.average_precision import SaidBox, average_precision
from keras_models.tasks.box_rows import NOBODY
from keras_models.tasks.boxes import boxes_of, shares
from keras_models.tasks.scores import Cell, percent
from keras_models.tasks.task import Reals, Shape, Targets, Task

_NEAR = 1.0  # tokens from a box's middle, across and down
# Of the focal loss (Lin et al., ICCV 2017): most tokens show nothing.
_FOCUS, _POSITIVE_SHARE = 2.0, 0.25
_EDGE_SHARE = 0.25  # of the distances' loss beside that of the overlap
_LEAST_DISTANCE = 0.02  # tokens; a box of none overlaps nothing and could not learn


@dataclasses.dataclass(frozen=True)
class DetectionScores:
    """How well things are found.

    Attributes:
      images: number of pictures.
      ap50: mean of the classes' average precision at half overlap.
      ap50_any: average precision where the class does not count.
      classes: average precision of each class; nan for one that does not occur.
    """

    images: int
    ap50: float
    ap50_any: float
    classes: tuple[float, ...]

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        return self.ap50

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Columns of a table."""
        return (
            Cell("AP50 %", percent(self.ap50), 7),
            Cell("any class %", percent(self.ap50_any), 11),
        )

    def tree(self) -> dict[str, Any]:
        """For a report as JSON."""
        classes = [None if np.isnan(value) else value for value in self.classes]
        return {
            "images": self.images,
            "ap50": self.ap50,
            "ap50_any": self.ap50_any,
            "classes": classes,
        }


def _scores(outputs: Reals, targets: Targets) -> DetectionScores:
    classes = outputs.shape[-1] - 4
    found: list[list[SaidBox]] = [[] for _ in range(classes)]
    for picture, values in enumerate(outputs):
        boxes = boxes_of(values)
        for box, edges in zip(boxes, shares(boxes, *values.shape[:2]), strict=True):
            found[box.label].append(SaidBox(picture, box.score, edges))
    true = targets.astype(np.float64)
    by_class = tuple(
        average_precision(found[label], _true_of(true, true[..., 4] == label))
        for label in range(classes)
    )
    anything = average_precision(
        [box for boxes in found for box in boxes], _true_of(true, true[..., 4] != NOBODY)
    )
    mean = float(np.nanmean(by_class)) if len(targets) else float("nan")
    return DetectionScores(len(outputs), mean, anything, by_class)


def _true_of(targets: Reals, chosen: Any) -> dict[int, Any]:
    return {picture: targets[picture, chosen[picture], :4] for picture in range(len(targets))}


def _middles(shape: Shape) -> tuple[Any, Any]:
    """Row and column of the middle of each token, in sides of a token."""
    y, x = (np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5).astype(np.float32)
    return y, x


def _distances(rows: Any, shape: Shape) -> Any:
    """From the tokens' middles to the edges of boxes, rows (..., 5) that go with tokens (h, w):
    (..., 4) in sides of a token."""
    (height, width, *_), (y, x) = shape, _middles(shape)
    left, right = (rows[..., i] * width for i in (0, 2))
    top, bottom = (rows[..., i] * height for i in (1, 3))
    return np.stack([x - left, y - top, right - x, bottom - y], axis=-1)


def owners(targets: Targets, shape: Shape) -> Any:
    """Of each token the row of the thing that it answers for, or NOBODY; int64 (n, h, w).

    Args:
      targets: rows (n, most, 5), see `box_rows`.
      shape: of one output.
    """
    height, width, _ = shape
    owner = np.full((len(targets), height, width), NOBODY)
    smallest = np.full(owner.shape, np.inf, np.float32)
    y, x = _middles(shape)
    for number, row in enumerate(targets.transpose(1, 0, 2).astype(np.float32)):
        each = row[:, None, None]
        left, right = (each[..., i] * width for i in (0, 2))
        top, bottom = (each[..., i] * height for i in (1, 3))
        near = np.maximum(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) <= _NEAR
        size = (right - left) * (bottom - top)
        seen = (each[..., 4] != NOBODY) & near & (_distances(each, shape) > 0).all(axis=-1)
        chosen = seen & (size < smallest)
        smallest, owner = np.where(chosen, size, smallest), np.where(chosen, number, owner)
    return owner


def _wanted(targets: Targets, shape: Shape) -> Reals:
    """Distances and classes (n, h, w, 4 + classes); a token without a thing has no class."""
    owner = owners(targets, shape)
    rows = targets[np.arange(len(targets))[:, None, None], owner].astype(np.float32)
    classes = np.eye(shape[-1] - 4, dtype=np.float32)[rows[..., 4].astype(np.int64)]
    answer = np.concatenate([_distances(rows, shape), classes], axis=-1)
    return np.where((owner != NOBODY)[..., None], answer, np.float32(0))


def _mirrored(targets: Targets) -> Targets:
    found = targets.copy()
    used = targets[..., 4] != NOBODY
    found[..., 0] = np.where(used, 1 - targets[..., 2], targets[..., 0])
    found[..., 2] = np.where(used, 1 - targets[..., 0], targets[..., 2])
    return found


def _overlap(wanted: Any, outputs: Any) -> Any:
    """Of wanted and said boxes, both around the token's middle: intersection over union."""
    from keras import ops

    true, said = wanted[..., :4], ops.maximum(outputs[..., :4], _LEAST_DISTANCE)
    both = ops.minimum(true, said)

    def area(distances: Any) -> Any:
        left, top, right, bottom = ops.unstack(distances, 4, axis=-1)
        return (left + right) * (top + bottom)

    inside = area(both)
    return inside / ops.maximum(area(true) + area(said) - inside, 1e-6)


def _things(wanted: Any) -> Any:
    """1 for tokens that answer for a thing."""
    from keras import ops

    return ops.sum(wanted[..., 4:], axis=-1)


def _loss(label_smoothing: float) -> Any:
    import keras
    from keras import ops

    del label_smoothing  # classes are asked one by one

    class Detection(keras.losses.Loss):  # type: ignore[misc]
        """Focal loss of classes, and where something is, of overlap and distances."""

        def call(self, y_true: Any, y_pred: Any) -> Any:
            classes = keras.losses.binary_focal_crossentropy(
                y_true[..., 4:, None],
                y_pred[..., 4:, None],
                apply_class_balancing=True,
                alpha=_POSITIVE_SHARE,
                gamma=_FOCUS,
                from_logits=True,
            )
            off = ops.mean(ops.abs(y_true[..., :4] - y_pred[..., :4]), axis=-1)
            edges = 1.0 - _overlap(y_true, y_pred) + _EDGE_SHARE * off
            things = _things(y_true)
            total = ops.sum(classes, axis=(1, 2, 3)) + ops.sum(things * edges, axis=(1, 2))
            return total / ops.maximum(ops.sum(things, axis=(1, 2)), 1.0)

    return Detection()


def _watched() -> Any:
    import keras
    from keras import ops

    def overlap(wanted: Any, outputs: Any) -> Any:
        things = _things(wanted)
        return ops.sum(things * _overlap(wanted, outputs)) / ops.maximum(ops.sum(things), 1.0)

    return keras.metrics.MeanMetricWrapper(overlap, name="overlap")


DETECTION = Task(
    name="detection",
    does="Where things are and what they are.",
    datasets=("canvases", "scene_boxes"),
    dense=True,
    meaning="of a token, four distances to a box's edges in tokens, then the logit of each class",
    figure="ap50",
    wanted=_wanted,
    loss=_loss,
    watched=_watched,
    scores=_scores,
    agreement=None,
    mirrored=_mirrored,
    boxes=boxes_of,
)
