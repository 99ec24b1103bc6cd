# SPDX-License-Identifier: Apache-2.0
"""A picture and the code of a question as one array, and apart again.

Data sets, recipes and calibration know examples of one array. That of a network with two inputs is
its picture with a few rows more, whose first bytes are the code: both inputs one after the other,
as a board takes them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rows_of(code: int, side: int, channels: int) -> int:
    """Rows of a picture that hold a code of so many bytes."""
    return -(-code // (side * channels))


def joined(pictures: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Examples (n, side + rows, side, channels) of pictures (n, side, side, channels) and codes
    (n, bytes); zeros behind the code."""
    count, side, _, channels = pictures.shape
    rows = np.zeros((count, rows_of(codes.shape[1], side, channels), side, channels), np.uint8)
    rows.reshape(count, -1)[:, : codes.shape[1]] = codes
    return np.concatenate([pictures, rows], axis=1)


def apart(examples: NDArray[Any], shapes: tuple[tuple[int, ...], ...]) -> list[NDArray[Any]]:
    """Inputs of these shapes, without the batch, of examples (n, ...), in their order."""
    flat = examples.reshape(len(examples), -1)
    found, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        found.append(flat[:, start:end].reshape(-1, *shape))
        start = end
    return found


def fed(examples: NDArray[Any], shapes: tuple[tuple[int, ...], ...]) -> Any:
    """What a Keras model with inputs of these shapes takes: the images, or all of its inputs."""
    return examples if len(shapes) == 1 else tuple(apart(examples, shapes))
