# SPDX-License-Identifier: Apache-2.0
"""NumPy reference of the operators: their definition (docs/operators.md).

Everything is computed in int64 (or in float64 where the result is provably the same integer), and
a parameter set that would overflow int32 on the device raises OverflowError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.options import Attention, Gelu, LayerNorm, LinearOp, Mlp, Op, PatchEmbed
from tflm_custom_ops.reference.attention import run_attention
from tflm_custom_ops.reference.layer_norm import run_layer_norm
from tflm_custom_ops.reference.linear import run_linear
from tflm_custom_ops.reference.mlp import run_mlp
from tflm_custom_ops.reference.patch_embed import run_patch_embed
from tflm_custom_ops.reference.pointwise import run_gelu

_RUN: dict[type, Callable[[Any, ArrayLike], np.ndarray]] = {
    Attention: run_attention,
    Mlp: run_mlp,
    LayerNorm: run_layer_norm,
    Gelu: run_gelu,
    LinearOp: run_linear,
    PatchEmbed: run_patch_embed,
}


def run(op: Op, x: ArrayLike) -> np.ndarray:
    """Runs one operator on its input; shapes and types as the dataclass of ``op`` says."""
    return _RUN[type(op)](op, x)
