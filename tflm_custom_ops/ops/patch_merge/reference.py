# SPDX-License-Identifier: Apache-2.0
"""Patch merging (docs/operators.md, Patch merging)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.parts import residual_dtype
from tflm_custom_ops.ops.patch_merge.params import PatchMerge
from tflm_custom_ops.reference.linear import linear
from tflm_custom_ops.reference.norm import normalize


def run_patch_merge(op: PatchMerge, x: ArrayLike) -> np.ndarray:
    """x ``[..., channels]``, token after token of the grid -> ``[tokens, out_features]``."""
    s = op.stride
    patches = np.asarray(x).reshape(op.grid_height, s, op.grid_width, s, op.channels)
    rows = patches.transpose(0, 2, 1, 3, 4).reshape(op.tokens, -1)
    return linear(op.linear, normalize(op.norm, rows)).astype(residual_dtype(op.bits))
