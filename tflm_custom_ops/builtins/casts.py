# SPDX-License-Identifier: Apache-2.0
"""CAST of integers: parameters and definition."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins.params import ELEMENTS

Array = NDArray[Any]

# Codes of element types in the C struct (VIT_ELEMENT_...); a bool is a byte, 0 or 1.
CAST_FROM: dict[np.dtype[Any], int] = {
    **ELEMENTS,
    np.dtype(np.bool_): ELEMENTS[np.dtype(np.uint8)],
    np.dtype(np.int32): 3,
}
CAST_TO: dict[np.dtype[Any], int] = {
    np.dtype(np.int32): 3,
    np.dtype(np.float32): 4,
    np.dtype(np.bool_): 5,
}


@dataclasses.dataclass(frozen=True)
class Cast:
    """CAST: the integers, without a scale, as int32 or float32; as bool whether they are not 0."""

    count: int
    input_type: int
    output_type: int


def cast(op: Cast, x: Array) -> Array:
    """[count] of the output's type."""
    to = next(dtype for dtype, code in CAST_TO.items() if code == op.output_type)
    return np.asarray(x.reshape(op.count).astype(to))
