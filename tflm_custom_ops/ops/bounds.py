# SPDX-License-Identifier: Apache-2.0
"""What the converter proves of an operator's numbers, proved again of those in a file: whatever its
input is, no sum leaves the 32 or 64 bits that the kernels have for it.

Kernels do not look; what overflows there differs from core to core. `codec.decode` asks.
"""

from __future__ import annotations

import math

import numpy as np

from tflm_custom_ops.ops.parts import Linear, Norm
from tflm_custom_ops.ops.schema import OptionsError, Status

INT32_MAX = (1 << 31) - 1
_LARGEST_INPUT = 128  # of an int8 value


def _error(what: str) -> OptionsError:
    return OptionsError(f"{what}; fuse the model again", Status.BAD_SUMS)


def check_linear(layer: Linear) -> None:
    """OptionsError unless a layer's sums stay in 32 bits, shifted ones as well.

    The sum of two of their products, where a residual is added, then fits 64 bits: the limits of
    shifts and zero points see to that (schema/limits.py).
    """
    n, k = layer.out_features, layer.in_features
    bias = np.abs(layer.bias.astype(np.int64))
    largest = int(bias.max(initial=0)) + _LARGEST_INPUT * 127 * k
    if largest << layer.shift > INT32_MAX:  # coarse; each row by itself
        weights = np.abs(layer.weights.astype(np.int16)).sum(axis=1, dtype=np.int64)
        largest = int((bias + _LARGEST_INPUT * weights).max(initial=0))
    if largest << layer.shift > INT32_MAX:
        raise _error(
            f"linear of {n} x {k}: sums of up to {largest}, shifted left by {layer.shift}, leave "
            "32 bits"
        )


def check_norm(norm: Norm) -> None:
    """OptionsError unless the normalized values stay in 32 bits."""
    # |n| <= sqrt(D) with 22 fraction bits; two more for the rounding.
    reach = math.isqrt(norm.features) + 1
    gamma, beta = (np.abs(v.astype(np.int64)) for v in (norm.gamma, norm.beta))
    peak = int(((gamma * reach >> 10) + beta).max(initial=0)) + 2
    if peak > INT32_MAX:
        raise _error(f"norm over {norm.features}: values of up to {peak} leave 32 bits")


def check_scores(largest_difference: int, shift: int, multiplier: int) -> None:
    """OptionsError unless differences of scores stay in 32 bits and have a factor of at least 0."""
    if multiplier < 0:
        raise _error(f"scores: got a multiplier of {multiplier}, expected 0 or more")
    if largest_difference << shift > INT32_MAX:
        raise _error(
            f"scores: differences of up to {largest_difference}, shifted left by {shift}, leave "
            "32 bits"
        )
