# SPDX-License-Identifier: Apache-2.0
"""Where learned positions of a grid of tokens begin: small noise, or waves that tell places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AMPLITUDE = 0.7  # as wide as what a patch says of its pixels


def waves(side: int, width: int) -> NDArray[np.float32]:
    """Sines and cosines (1, side * side, width) of each token's column and row.

    The slowest sine rises once from one edge to the other, so that a linear layer reads off it in
    which half a token lies; the fastest tells neighbours. Tokens near each other have products that
    are large, which is what attention to neighbours needs.

    Args:
      side: tokens of a row, and of a column.
      width: of a token; up to three values that no four waves fill are 0.
    """
    count = width // 4
    steps = np.geomspace(np.pi / side, np.pi, count, endpoint=False)
    turns = steps * (np.arange(side) - (side - 1) / 2)[:, None]
    along = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)  # (side, width / 2)
    rows, columns = np.repeat(along, side, axis=0), np.tile(along, (side, 1))
    found = np.zeros((1, side * side, width), np.float32)
    found[0, :, : 4 * count] = AMPLITUDE * np.concatenate([columns, rows], axis=1)
    return found
