# SPDX-License-Identifier: Apache-2.0
"""A projection on its own (docs/operators.md, Linear)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.linear.params import LinearOp
from tflm_custom_ops.reference.linear import projection


def run_linear(op: LinearOp, x: ArrayLike) -> np.ndarray:
    """x int8 ``[rows, in_features]`` -> int8 ``[rows, out_features]``."""
    return projection(op.projection, np.asarray(x).reshape(op.rows, -1)).astype(np.int8)
