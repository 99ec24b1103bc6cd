# SPDX-License-Identifier: Apache-2.0
"""Boxes of a detector: from the values of its tokens to few boxes, in integers.

This is the definition; firmware/src/app/detections.c does the same with a network's int8 outputs.
A token says how far the edges of a box are from its middle, in sides of a token, and a logit for
each class (FCOS, Tian et al., ICCV 2019, with one box a token and without centerness):

    edge  = middle -+ round(UNITS * distance), in 1 / UNITS of a token's side, kept in the picture
    class = that of the greatest logit, the first of equals; its logit is the score

Boxes are kept in the order of their scores, of equals that of the lower token first, until there
are MOST_BOXES; one is left out whose intersection with a kept one, of whatever class, is more than
half of their union. A box that is empty after rounding is none.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

UNITS = 256  # of a token's side
MOST_BOXES = 16
MOST_TOKENS = 64  # along a side: areas stay below 2**31 / 3 units
LEAST_SCORED = 0.05  # probability from which a box counts for figures
LEAST_SHOWN = 0.3  # from which it is shown

Integers = NDArray[np.int64]
Reals = NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class Box:
    """What was found.

    Attributes:
      token: that says it, by rows.
      label: class, without the four edges.
      score: its logit.
      edges: left, top, right, bottom in 1 / UNITS of a token's side.
    """

    token: int
    label: int
    score: float
    edges: tuple[int, int, int, int]


def logit(probability: float) -> float:
    """Of a probability between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def units(distances: Reals) -> Integers:
    """Distances in sides of a token, to the nearest unit; halves go up."""
    found: Integers = np.floor(distances.astype(np.float64) * UNITS + 0.5).astype(np.int64)
    return found


def all_edges(outputs: Reals) -> Integers:
    """Edges (h * w, 4) in units of the outputs (h, w, values) of one picture."""
    height, width = outputs.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width] * UNITS + UNITS // 2
    middle = np.stack([columns, rows, columns, rows], axis=-1)
    ends = np.array([width, height, width, height]) * UNITS
    found: Integers = np.clip(
        middle + np.array([-1, -1, 1, 1]) * units(outputs[..., :4]), 0, ends
    ).reshape(-1, 4)
    return found


def area(edges: Integers) -> Integers:
    """Of boxes (..., 4); 0 of empty ones."""
    sides = np.maximum(edges[..., 2:] - edges[..., :2], 0)
    found: Integers = sides[..., 0] * sides[..., 1]
    return found


def shared(one: Integers, others: Integers) -> Integers:
    """Area of the intersections of a box (4,) with others (n, 4)."""
    low = np.maximum(one[:2], others[:, :2])
    high = np.minimum(one[2:], others[:, 2:])
    return area(np.concatenate([low, high], axis=-1))


def boxes_of(outputs: Reals, least: float = LEAST_SCORED) -> tuple[Box, ...]:
    """The boxes that one picture's outputs (h, w, 4 + classes) say, the best first.

    Args:
      least: probability of a box that is still one.
    """
    edges = all_edges(outputs)
    logits = outputs[..., 4:].reshape(len(edges), -1)
    scores = logits.max(axis=1)
    areas = area(edges)
    left = (scores >= logit(least)) & (areas > 0)
    found: list[Box] = []
    for token in np.argsort(-scores, kind="stable"):
        if len(found) == MOST_BOXES:
            break
        if not left[token]:
            continue
        both = shared(edges[token], edges)
        left &= 2 * both <= areas + areas[token] - both
        label = int(logits[token].argmax())
        corners = (int(n) for n in edges[token])
        found.append(Box(int(token), label, float(scores[token]), tuple(corners)))  # type: ignore[arg-type]
    return tuple(found)


def shares(boxes: tuple[Box, ...], height: int, width: int) -> NDArray[np.float64]:
    """Edges (n, 4) in shares of the picture's sides, of boxes from so many tokens."""
    ends = np.array([width, height, width, height], np.float64) * UNITS
    edges = np.array([box.edges for box in boxes], np.float64).reshape(-1, 4)
    found: NDArray[np.float64] = edges / ends
    return found


@dataclasses.dataclass(frozen=True)
class FixedBoxes:
    """What a board needs to do the same with int8 outputs; see `fixed`.

    Attributes:
      multiplier, shift: units of a value q: (q - zero_point) * multiplier + half >> shift.
      zero_point: of the outputs.
      least: the least q of a box that is shown; 128 where none can be.
    """

    multiplier: int
    shift: int
    zero_point: int
    least: int


_SHIFT = 20


def fixed(scale: float, zero_point: int) -> FixedBoxes:
    """Integers that give of each int8 value the units that `units` gives of its real number.

    Raises:
      ValueError: no multiplier does.
    """
    steps = np.arange(-128, 128, dtype=np.int64) - zero_point
    wanted = units(scale * steps.astype(np.float64))
    half = 1 << (_SHIFT - 1)
    nearest = round(scale * UNITS * 2**_SHIFT)
    for multiplier in (nearest, nearest - 1, nearest + 1):
        found = (steps * multiplier + half) >> _SHIFT
        if 0 < multiplier < 2**31 and np.array_equal(found, wanted):
            shown = np.flatnonzero(scale * steps >= logit(LEAST_SHOWN))
            least = int(shown[0]) - 128 if len(shown) else 128
            return FixedBoxes(multiplier, _SHIFT, zero_point, least)
    raise ValueError(
        f"boxes: no multiplier rounds outputs of scale {scale:g} as their real numbers; quantize "
        "with other calibration pictures"
    )
