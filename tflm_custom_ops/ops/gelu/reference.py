# SPDX-License-Identifier: Apache-2.0
"""Pointwise tables (docs/operators.md, GELU)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.gelu.params import Gelu
from tflm_custom_ops.reference.pointwise import lookup


def run_gelu(op: Gelu, x: ArrayLike) -> np.ndarray:
    """x int8 of any shape -> int8 of the same shape."""
    return lookup(op.lut, x)
