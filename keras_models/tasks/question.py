# SPDX-License-Identifier: Apache-2.0
"""The answer to a question about a picture: both are the network's inputs.

Targets (n, 2) are the number of the question and that of its answer (`keras_models.questions`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.questions.asking import COLORS, KINDS, codes, number_of
from keras_models.tasks.accuracy import same_class
from keras_models.tasks.classification import CLASSIFICATION
from keras_models.tasks.scores import Cell, percent
from keras_models.tasks.task import Reals, Shape, Targets, Task


@dataclasses.dataclass(frozen=True)
class KindScore:
    """Of the questions of one kind: its name, how many there were, the share answered rightly."""

    kind: str
    questions: int
    right: float


@dataclasses.dataclass(frozen=True)
class QuestionScores:
    """How often answers are right.

    Attributes:
      images: number of questions, each about a picture.
      right: share of all.
      alone, relational: share of the questions about one thing, and of those about several.
      kinds: of each kind that was asked.
    """

    images: int
    right: float
    alone: float
    relational: float
    kinds: tuple[KindScore, ...]

    @property
    def figure(self) -> float:
        """The one that networks are compared by."""
        return self.right

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Columns of a table."""
        return (
            Cell("right %", percent(self.right), 8),
            Cell("alone %", percent(self.alone), 8),
            Cell("relational %", percent(self.relational), 13),
            *(Cell(f"{score.kind} %", percent(score.right), 11) for score in self.kinds),
        )

    def tree(self) -> dict[str, Any]:
        """For a report as JSON."""
        return dataclasses.asdict(self)


def _share(right: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    return float(right[chosen].mean()) if chosen.any() else 0.0


def _scores(outputs: Reals, targets: Targets) -> QuestionScores:
    right = outputs.argmax(axis=1) == targets[:, 1]
    kinds = targets[:, 0] // len(COLORS)
    relational = np.array([kind.relational for kind in KINDS])[kinds]
    return QuestionScores(
        len(outputs),
        float(right.mean()),
        _share(right, ~relational),
        _share(right, relational),
        tuple(
            KindScore(kind.name, int((kinds == i).sum()), _share(right, kinds == i))
            for i, kind in enumerate(KINDS)
            if (kinds == i).any()
        ),
    )


def _wanted(targets: Targets, shape: Shape) -> Reals:
    return np.eye(shape[-1], dtype=np.float32)[targets[:, 1]]


def _asked(text: str) -> NDArray[np.uint8]:
    return codes(np.array(number_of(text)))


QUESTION = Task(
    name="question",
    does="The answer to a question about a picture.",
    datasets=("shape_questions",),
    dense=False,
    meaning="logit of each answer",
    figure="right",
    wanted=_wanted,
    loss=CLASSIFICATION.loss,
    watched=CLASSIFICATION.watched,
    scores=_scores,
    agreement=same_class,
    asked=_asked,
)
