# SPDX-License-Identifier: Apache-2.0
"""`Task`: everything that one kind of question about an input means, declared in one place.

Training, quantization, evaluation and firmware read it, and know nothing else of depth, classes or
sounds. A file names its task (`converter.contract`); one that names none is a classifier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.tasks.boxes import Box
from keras_models.tasks.scores import TaskScores

Reals = NDArray[np.floating]  # outputs (n, *output shape), in real numbers
Targets = NDArray[Any]  # as a data set has them: a label or a map for each input
Shape = tuple[int, ...]


def mirrored_maps(targets: Targets) -> Targets:
    """Maps (n, h, w) of pictures that are mirrored."""
    return targets[:, :, ::-1]


@dataclasses.dataclass(frozen=True)
class Task:
    """A kind of question.

    Functions that train import Keras when they are called, so that nobody else needs it.

    Attributes:
      name: as given to `--task`, and as files say it.
      does: a line for people.
      datasets: names of the data sets that have its targets; the first is used where none is named.
      dense: the output is a picture (height, width, values), each pixel of it an answer for the
        same place in the input; else it is one vector.
      meaning: of an output value, in the file's metadata.
      figure: name of the figure that networks are compared by, in train.json.
      wanted: (targets, shape of one output) -> what the loss compares with, float32.
      loss: label smoothing -> Keras loss of (wanted, outputs).
      watched: () -> Keras metric that is shown while it trains.
      scores: (outputs in real numbers, targets) -> figures.
      drawn: of a dense task, outputs (n, h, w, values) -> one number a pixel (n, h, w) for people.
      unit: of these numbers.
      agreement: (outputs, others of the same inputs) -> share on which both say the same; None
        where there is no such share.
      mirrored: of a dense task, targets -> those of the mirrored inputs.
      asked: of a task with a question as second input, (a person's words) -> its code, bytes;
        ValueError where they are none.
      boxes: of a task that finds things, (outputs (h, w, values), least probability) -> boxes.
    """

    name: str
    does: str
    datasets: tuple[str, ...]
    dense: bool
    meaning: str
    figure: str
    wanted: Callable[[Targets, Shape], Reals]
    loss: Callable[[float], Any]
    watched: Callable[[], Any]
    scores: Callable[[Reals, Targets], TaskScores]
    agreement: Callable[[Reals, Reals], float] | None
    drawn: Callable[[Reals], NDArray[Any]] | None = None
    unit: str = ""
    mirrored: Callable[[Targets], Targets] = mirrored_maps
    boxes: Callable[[Reals, float], tuple[Box, ...]] | None = None
    asked: Callable[[str], NDArray[np.uint8]] | None = None
