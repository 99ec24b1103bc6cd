# SPDX-License-Identifier: Apache-2.0
"""Real values in the types of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.arithmetic import Range
from converter.tflite import Tensor

Reals = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]


def range_of(tensor: Tensor) -> Range:
    """A quantized tensor's type."""
    if tensor.dtype == np.int16:
        return Range(tensor.scale, tensor.zero_point, -32768, 32767)
    return Range(tensor.scale, tensor.zero_point)


def quantized(values: Reals, tensor: Tensor) -> Ints:
    """Real values in a tensor's type and shape."""
    return (
        range_of(tensor)
        .quantize(np.asarray(values, np.float64))
        .astype(tensor.dtype)
        .reshape(tensor.shape)
    )


def real(values: Ints, tensor: Tensor) -> NDArray[np.float32]:
    """Real values of a quantized tensor."""
    result: NDArray[np.float32] = (
        tensor.scale * (values.astype(np.float64) - tensor.zero_point)
    ).astype(np.float32)
    return result
