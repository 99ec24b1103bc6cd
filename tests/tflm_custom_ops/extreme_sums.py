# SPDX-License-Identifier: Apache-2.0
"""Layers whose sums reach the limit of three-stream accumulation, or pass it by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tflm_custom_ops.exact_sums import SUM_LIMIT, exact_k_block
from tflm_custom_ops.ops import Linear, LinearOp, Projection

INPUTS = 500
NAME = "SUMS"  # among the kinds of operators that a sweep runs
TARGETS = (SUM_LIMIT - 1, SUM_LIMIT, -SUM_LIMIT, -SUM_LIMIT - 1)


def layer(
    rng: np.random.Generator, channels: int, extreme: Sequence[int], target: int, rows: int
) -> LinearOp:
    """A layer whose sums are ``target`` in the channels ``extreme`` if all inputs are -128.

    The other channels have random weights. The multipliers keep the highest bits of the sums, so
    that an error of 2**16 or more shows.
    """
    weights = rng.integers(-127, 128, (channels, INPUTS)).astype(np.int8)
    bias = rng.integers(-(1 << 20), 1 << 20, channels).astype(np.int32)
    for channel in extreme:
        weights[channel] = -127 if target > 0 else 127
        bias[channel] = target + 128 * int(weights[channel].astype(np.int64).sum())
    return LinearOp(
        rows=rows,
        token_tile=rows,
        projection=Projection(
            Linear(
                weights=weights,
                bias=bias,
                multiplier=np.full(channels, 1 << 16, np.int32),
                k_block=exact_k_block(weights, bias),
            )
        ),
    )


def random_case(rng: np.random.Generator) -> tuple[LinearOp, NDArray[np.int8]]:
    """A layer some of whose channels reach a limit, and an input that takes them there in about
    half of its rows."""
    channels, rows = int(rng.integers(1, 13)), int(rng.integers(1, 12))
    extreme = np.flatnonzero(rng.random(channels) < 0.5) if rng.random() < 0.8 else range(channels)
    op = layer(rng, channels, list(extreme), TARGETS[rng.integers(len(TARGETS))], rows)
    x = rng.integers(-128, 128, (rows, INPUTS)).astype(np.int8)
    x[rng.random(rows) < 0.5] = -128
    return op, x
