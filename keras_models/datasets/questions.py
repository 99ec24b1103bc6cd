# SPDX-License-Identifier: Apache-2.0
"""Questions about pictures of shapes (`python -m keras_models.pose_questions`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_models.datasets.core import DatasetError, Images, Indices, Labels
from keras_models.datasets.made import Array, MadeData, check_labels, check_shape
from keras_models.questions.asking import ANSWERS, QUESTIONS, codes
from keras_models.questions.examples import joined
from keras_models.questions.shapes import SIDE

KEYS = ("pictures", "questions", "answers")  # of a split's file


@dataclasses.dataclass(frozen=True, eq=False)
class PosedSource:
    """Each question about each picture is an example; targets (n, 2) are its number and its answer.

    Attributes:
      pictures: uint8 (pictures, side, side, channels).
      targets: int32 (pictures, questions of each, 2).
    """

    pictures: Images
    targets: Labels

    def __len__(self) -> int:
        return int(np.prod(self.targets.shape[:2]))

    def load(self, indices: Indices) -> tuple[Images, Labels]:
        """Examples (`keras_models.questions.examples`) and their targets."""
        targets = self.labels()[indices]
        pictures = self.pictures[np.asarray(indices) // self.targets.shape[1]]
        return joined(pictures, codes(targets[:, 0])), targets

    def labels(self) -> Labels:
        return self.targets.reshape(-1, 2)

    def key(self, index: int) -> str:
        return str(index)


def _check(targets: Array, count: int) -> None:
    check_shape("answers", targets, (count, targets.shape[1], 2))
    for what, values, names in (("questions", 0, QUESTIONS), ("answers", 1, ANSWERS)):
        try:
            check_labels(targets[..., values], count, len(names), targets.shape[1:2])
        except DatasetError as error:
            raise DatasetError(f"{what}: {error}") from error


class PosedData(MadeData):
    """Of each picture several questions."""

    def _source(self, file: Mapping[str, Array]) -> PosedSource:  # type: ignore[override]
        pictures, questions, said = (file[key] for key in KEYS)
        if questions.ndim != 2 or questions.shape != said.shape or not questions.shape[1]:
            raise DatasetError(
                f"questions and answers: got {list(questions.shape)} and {list(said.shape)}, "
                "expected both [pictures, questions of each]"
            )
        targets = np.stack([questions, said], axis=-1)
        whole = {self.images: pictures, self.targets: targets}
        checked = super()._source(whole)
        return PosedSource(checked.images, checked.targets)


SHAPE_QUESTIONS = PosedData(
    "shape_questions", "keras_models.pose_questions", "pictures", KEYS[0], (SIDE, SIDE, 3), KEYS[2],
    _check, ANSWERS, kept_as="int32",
)  # fmt: skip
