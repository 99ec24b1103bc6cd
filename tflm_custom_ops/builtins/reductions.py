# SPDX-License-Identifier: Apache-2.0
"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN over any dimensions: parameters and definition."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.builtins.params import Shape4
from tflm_custom_ops.builtins.rescale import rescale

Array = NDArray[Any]


class Reduction(enum.IntEnum):
    """VIT_REDUCE_... of vit_builtins.h."""

    SUM = 0
    MAXIMUM = 1
    MINIMUM = 2


@dataclasses.dataclass(frozen=True)
class Reduce:
    """x with dimensions that stay (``kept``) and that are reduced; strides in elements.

    Of a sum (and mean) y = clamp(z_y + rescale(sum(x - z_x), out)); of an extreme y = the value.
    """

    kind: int
    kept: Shape4
    kept_strides: Shape4
    reduced: Shape4
    reduced_strides: Shape4
    input_zero_point: int
    output_zero_point: int
    out_multiplier: int
    out_shift: int


def reduce(op: Reduce, x: Array) -> NDArray[np.int8]:
    """int8 of ``op.kept``."""
    shape, strides = (*op.kept, *op.reduced), (*op.kept_strides, *op.reduced_strides)
    flat = np.ascontiguousarray(x).reshape(-1).astype(np.int64)
    sizes = tuple(8 * s for s in strides)
    values = np.lib.stride_tricks.as_strided(flat, shape, sizes, writeable=False)
    axes = (4, 5, 6, 7)
    if op.kind == Reduction.SUM:
        total = (values - op.input_zero_point).sum(axis=axes)
        y = rescale(total, op.out_multiplier, op.out_shift) + op.output_zero_point
    else:
        y = values.max(axis=axes) if op.kind == Reduction.MAXIMUM else values.min(axis=axes)
    result: NDArray[np.int8] = np.clip(y, -128, 127).astype(np.int8)
    return result
