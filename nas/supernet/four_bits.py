# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits in a supernet: rounded to the nearest, as an extracted network has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from nas.supernet.selection import Mask
from tflm_custom_ops.ops.layouts import MAX4

_Floats = NDArray[np.float32]
_LEAST = 1e-12  # of a channel's largest weight


def rounded_to_4_bits(kernel: _Floats) -> _Floats:
    """A kernel [..., inputs, outputs] of a sub-network, rounded as the supernet rounds it."""
    inputs = tuple(range(kernel.ndim - 1))
    largest = np.maximum(np.abs(kernel).max(axis=inputs, keepdims=True), _LEAST)
    unit = largest / np.float32(MAX4)
    return np.asarray(np.round(kernel / unit) * unit, kernel.dtype)


def where_of_4_bits(kernel: Any, inputs: Sequence[int], four_bits: Mask) -> Any:
    """A kernel, rounded where a block has 4 bits.

    Each output's largest weight is 7; gradients are those of the weights themselves.

    Args:
      kernel: zeros for inputs that the sub-network does not have.
      inputs: axes of all but the outputs.
      four_bits: a one where the block has 4 bits.
    """
    unit = ops.maximum(ops.max(ops.abs(kernel), axis=inputs, keepdims=True), _LEAST) / MAX4
    rounded = ops.round(kernel / unit) * unit
    return kernel + ops.sum(four_bits) * ops.stop_gradient(rounded - kernel)
