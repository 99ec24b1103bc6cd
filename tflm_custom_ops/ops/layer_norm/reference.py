# SPDX-License-Identifier: Apache-2.0
"""LayerNorm on its own, optionally pooled (docs/operators.md, LayerNorm)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.layer_norm.params import LayerNorm, Pool
from tflm_custom_ops.reference.norm import normalize
from tflm_custom_ops.reference.requant import mulh


def run_layer_norm(op: LayerNorm, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> int8 of the same shape, or ``[1, embed_dim]`` pooled."""
    x = np.asarray(x).reshape(op.tokens, op.embed_dim)
    if op.pool is Pool.FIRST:
        x = x[:1]
    y = normalize(op.norm, x)
    if op.pool is Pool.MEAN:
        total = y.sum(axis=0, keepdims=True) - op.tokens * op.zero_point
        y = np.clip(op.pool_zero_point + mulh(total, op.pool_multiplier), -128, 127)
    return y.astype(np.int8)
