# SPDX-License-Identifier: Apache-2.0
"""Pointwise tables (docs/operators.md, GELU)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.parts import Int8Array


def lookup(lut: Int8Array, x: ArrayLike) -> Int8Array:
    """lut[x + 128] of int8 values x of any shape."""
    result: Int8Array = lut[np.asarray(x, np.int64) + 128]
    return result
