# SPDX-License-Identifier: Apache-2.0
"""The questions that are asked about a picture of shapes, their codes and their answers.

Each picture has one thing of every color, so that a color names it. A question is a number, kind *
colors + color; a network gets its *code*: bytes of which two are 255, one for the color and one for
the kind. Like Sort-of-CLEVR (Santoro et al., NeurIPS 2017), but relational questions ask for a
color, which says more than one of two shapes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COLORS = ("red", "green", "blue", "orange", "purple", "yellow")
SHAPES = ("square", "circle")
ANSWERS = ("no", "yes", *SHAPES, *COLORS, *(str(n + 1) for n in range(len(COLORS))))
NO, YES, FIRST_SHAPE = 0, 1, 2
FIRST_COLOR = FIRST_SHAPE + len(SHAPES)
FIRST_COUNT = FIRST_COLOR + len(COLORS)


@dataclasses.dataclass(frozen=True)
class QuestionKind:
    """What is asked about a thing.

    Attributes:
      name: in figures.
      text: the question, {} for the color.
      relational: whether other things count.
    """

    name: str
    text: str
    relational: bool


KINDS = (
    QuestionKind("shape", "what shape is {}?", False),
    QuestionKind("left", "is {} in the left half?", False),
    QuestionKind("upper", "is {} in the upper half?", False),
    QuestionKind("nearest", "what color is nearest to {}?", True),
    QuestionKind("farthest", "what color is farthest from {}?", True),
    QuestionKind("count", "how many have the shape of {}?", True),
)
QUESTIONS = tuple(kind.text.format(color) for kind in KINDS for color in COLORS)  # by their numbers
CODE_BYTES = len(COLORS) + len(KINDS)
NONE = 255  # no answer
_SAID = 255


def codes(questions: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Codes (..., CODE_BYTES) of questions' numbers (...)."""
    kind, color = np.divmod(np.asarray(questions), len(COLORS))
    places = np.arange(CODE_BYTES)
    said = (places == color[..., None]) | (places == len(COLORS) + kind[..., None])
    return np.where(said, _SAID, 0).astype(np.uint8)


def numbers_of_kinds(names: Sequence[str]) -> list[int]:
    """Numbers of all questions of kinds; of every kind where none is named.

    Raises:
      ValueError: there is no such kind.
    """
    known = [kind.name for kind in KINDS]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"got {unknown[0]!r}, expected some of {', '.join(known)}")
    return [
        number
        for number in range(len(QUESTIONS))
        if not names or known[number // len(COLORS)] in names
    ]


def number_of(text: str) -> int:
    """The question that a person typed; case and the question mark do not count.

    Raises:
      ValueError: none is so; with some that are.
    """
    plain = " ".join(text.lower().rstrip("? ").split())
    for number, question in enumerate(QUESTIONS):
        if question.rstrip("?") == plain:
            return number
    asked = "; ".join(kind.text.format("COLOR") for kind in KINDS)
    raise ValueError(
        f"question: got {text!r}, expected one of: {asked} (COLOR: {', '.join(COLORS)})"
    )


def answers(
    places: NDArray[np.integer],
    shapes: NDArray[np.integer],
    side: int,
    shown: NDArray[np.integer] | None = None,
) -> NDArray[np.uint8]:
    """Of every question (questions,) about a picture; NONE of those about what is not there.

    Args:
      places: (things, 2) of each thing, x and y of its middle.
      shapes: (things,) of them, places in SHAPES.
      side: of the picture; no middle is on its centre lines.
      shown: (things,) colors of them, two or more; None: one of each color in their order.
    """
    colors = np.arange(len(COLORS)) if shown is None else shown
    apart = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    others = apart + np.diag(np.full(len(colors), apart.max() + 1))
    said = np.full((len(KINDS), len(COLORS)), NONE, np.uint8)
    said[:, colors] = (
        FIRST_SHAPE + shapes,
        np.where(places[:, 0] < side // 2, YES, NO),
        np.where(places[:, 1] < side // 2, YES, NO),
        FIRST_COLOR + colors[others.argmin(axis=1)],
        FIRST_COLOR + colors[apart.argmax(axis=1)],
        FIRST_COUNT - 1 + (shapes[:, None] == shapes[None]).sum(axis=1),
    )
    return said.ravel()
