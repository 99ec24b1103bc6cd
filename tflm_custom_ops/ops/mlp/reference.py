# SPDX-License-Identifier: Apache-2.0
"""The MLP block (docs/operators.md, MLP block)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.mlp.params import Mlp
from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.reference.linear import projection, projection_residual
from tflm_custom_ops.reference.norm import normalize
from tflm_custom_ops.reference.pointwise import lookup


def run_mlp(op: Mlp, x: ArrayLike) -> np.ndarray:
    """x ``[tokens, embed_dim]`` -> y of the same shape and type."""
    x = np.asarray(x).reshape(op.tokens, op.embed_dim)
    h = x if op.norm is None else normalize(op.norm, x, op.residual.zero_point)
    hidden = lookup(op.lut, projection(op.fc1, h))
    y = projection_residual(op.fc2, hidden, op.residual, x)
    return y.astype(residual_dtype(op.residual.bits))
