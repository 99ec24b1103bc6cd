# SPDX-License-Identifier: Apache-2.0
"""TFLite's fixed-point rescaling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins.fixed_point import high_product, rounding_shift

Int64Array = NDArray[np.int64]


def rescale(x: Int64Array, multiplier: Any, shift: Any) -> Int64Array:
    """TFLite's MultiplyByQuantizedMultiplier: doubling high product, then a rounding shift.

    Both round: the product half away from zero, the shift half away from zero.
    """
    s = np.asarray(shift, np.int64)
    return rounding_shift(high_product(x << np.maximum(s, 0), multiplier), np.maximum(-s, 0))
