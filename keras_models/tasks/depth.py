# SPDX-License-Identifier: Apache-2.0
"""How far away what each pixel shows is.

A network says the natural logarithm of the distance in metres, so that a step of int8 is the same
share of it near and far. Figures are those of Eigen et al., NeurIPS 2014.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_models.tasks.pictures import enlarged, sampled
from keras_models.tasks.scores import Cell
from keras_models.tasks.task import Reals, Shape, Targets, Task

_CLOSE = 1.25


@dataclasses.dataclass(frozen=True)
class DepthScores:
    """How far off depths are, over all pixels.

    Attributes:
      images: number of pictures.
      abs_rel: mean of |depth - true| / true.
      rmse_m: root of the mean squared error, in metres.
      delta: share of pixels with max(depth / true, true / depth) below 1.25.
    """

    images: int
    abs_rel: float
    rmse_m: float
    delta: float

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        return self.abs_rel

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Columns of a table."""
        return (
            Cell("AbsRel", f"{self.abs_rel:.4f}", 7),
            Cell("RMSE m", f"{self.rmse_m:.3f}", 7),
            Cell("< 1.25", f"{self.delta:.4f}", 7),
        )

    def tree(self) -> dict[str, Any]:
        """For a report as JSON."""
        return dataclasses.asdict(self)


def metres(outputs: Reals) -> Reals:
    """Depth (n, h, w) of outputs (n, h, w, 1)."""
    return np.exp(outputs[..., 0].astype(np.float64))


def _scores(outputs: Reals, targets: Targets) -> DepthScores:
    true = targets.astype(np.float64)
    depth = enlarged(metres(outputs), targets)
    ratio = depth / true
    return DepthScores(
        len(outputs),
        float(np.abs(ratio - 1.0).mean()),
        float(np.sqrt(((depth - true) ** 2).mean())),
        float((np.maximum(ratio, 1.0 / ratio) < _CLOSE).mean()),
    )


def _wanted(targets: Targets, shape: Shape) -> Reals:
    return np.log(sampled(targets, shape).astype(np.float32))[..., None]


def _loss(label_smoothing: float) -> Any:
    import keras

    del label_smoothing  # there are no labels
    return keras.losses.MeanAbsoluteError()


def _watched() -> Any:
    import keras

    def close(wanted: Any, outputs: Any) -> Any:
        off = keras.ops.abs(wanted - outputs)
        return keras.ops.cast(off < float(np.log(_CLOSE)), "float32")

    return keras.metrics.MeanMetricWrapper(close, name="delta")


DEPTH = Task(
    name="depth",
    does="How far away what each pixel shows is.",
    datasets=("scene_depth",),
    dense=True,
    meaning="natural logarithm of the depth in metres",
    figure="abs_rel",
    wanted=_wanted,
    loss=_loss,
    watched=_watched,
    scores=_scores,
    agreement=None,
    drawn=metres,
    unit="m",
)
