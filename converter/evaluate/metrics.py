# SPDX-License-Identifier: Apache-2.0
"""How far a network's outputs are from another's."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.generic]


def sqnr_db(reference: Values, got: Values) -> float:
    """Signal to quantization noise ratio, 10 log10(sum r^2 / sum (r - g)^2); inf if equal,
    -inf if there is no signal: a network that answers 0 to everything."""
    r, g = reference.astype(np.float64), got.astype(np.float64)
    noise = float(((r - g) ** 2).sum())
    if noise == 0:
        return math.inf
    signal = float((r**2).sum())
    return -math.inf if signal == 0 else 10 * math.log10(signal / noise)
