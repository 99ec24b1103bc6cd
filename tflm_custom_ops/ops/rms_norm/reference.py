# SPDX-License-Identifier: Apache-2.0
"""RMSNorm on its own (docs/operators.md, RMSNorm; Zhang and Sennrich 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.rms_norm.params import RmsNorm
from tflm_custom_ops.reference.norm import scaled_rows


def run_rms_norm(op: RmsNorm, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> int8 of the same shape."""
    centred = np.asarray(x, np.int64).reshape(op.tokens, op.embed_dim) - op.input_zero_point
    variance = op.embed_dim * (centred * centred).sum(axis=1) + op.epsilon
    beta = np.full(op.embed_dim, 256 * op.out_zero_point + 128, np.int64)
    rows = scaled_rows(op.embed_dim * centred, variance, op.gamma, beta, "RMSNorm")
    return rows.astype(np.int8)
