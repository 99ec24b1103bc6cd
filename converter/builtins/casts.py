# SPDX-License-Identifier: Apache-2.0
"""CAST of integers."""

from __future__ import annotations

from converter.builtins.common import BuiltinError, Tensors
from converter.tflite import Operator
from tflm_custom_ops.builtins.casts import CAST_FROM, CAST_TO, Cast


def cast(tensors: Tensors, op: Operator) -> Cast:
    """As TFLM's cast.cc; what it is not asked for here (float to integers) rounds otherwise."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    if x.dtype not in CAST_FROM or y.dtype not in CAST_TO:
        sources, results = (", ".join(t.name for t in table) for table in (CAST_FROM, CAST_TO))
        raise BuiltinError(f"got {x.dtype} to {y.dtype}, expected {sources} to {results}")
    return Cast(x.size, CAST_FROM[x.dtype], CAST_TO[y.dtype])
