# SPDX-License-Identifier: Apache-2.0
"""When sums that share 32 bits come apart exactly: the rule behind a layer's ``k_block``.

The matrix cores with the DSP extension add four channels in three 32-bit streams, modulo 2**32
(docs/operators.md, Linear):

    T1 = S0 + 256 S1      T2 = S1 + 256 S2      T3 = S2 + 256 S3

and take the four sums out again. That is exact if each sum, whatever the int8 inputs are, lies in
[-2**23, 2**23). The rule holds for every channel by itself, so that any two pairs of channels make
a valid group, and so does a pair twice, where the last four are not full.

``k_block`` is even. The bias counts like one more pair of inputs:

* ``k_block > K`` (K rounded up to even): the whole row with its bias, and without it, is in range;
  the streams start from the biases.
* else the inputs come in blocks of ``k_block``, counted from the row's begin, each in range without
  the bias, which is added when the sums are apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SUM_LIMIT = 1 << 23  # sums lie in [-SUM_LIMIT, SUM_LIMIT)
INPUT_LOW, INPUT_HIGH = -128, 127
BIAS_INPUTS = 2  # what the bias counts as


def _even(n: int) -> int:
    return (n + 1) // 2 * 2


_FLOAT32_INPUTS = 1 << 16  # of them float32 holds every sum


def signed_sums(
    weights: NDArray[np.int8], k_block: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of the positive weights and of the negative ones' magnitudes, block by block.

    Args:
      weights: int8 ``[out_features, in_features]``.
      k_block: inputs in a block, counted from the row's begin.

    Returns:
      int64 ``[out_features, blocks]`` each.
    """
    inputs = weights.shape[1]
    if inputs <= min(k_block, _FLOAT32_INPUTS):  # BLAS is several times as fast
        values, ones = weights.astype(np.float32), np.ones((inputs, 1), np.float32)
        total, absolute = ((part @ ones).astype(np.int64) for part in (values, np.abs(values)))
    else:
        starts = np.arange(0, inputs, k_block)
        total = np.add.reduceat(weights, starts, axis=1, dtype=np.int64)
        magnitudes = np.abs(weights.astype(np.int16))
        absolute = np.add.reduceat(magnitudes, starts, axis=1, dtype=np.int64)
    return (absolute + total) // 2, (absolute - total) // 2


def is_exact(weights: NDArray[np.int8], bias: NDArray[np.int32], k_block: int) -> bool:
    """Whether a layer's sums are exact in blocks of ``k_block`` inputs.

    Args:
      weights: int8 ``[out_features, in_features]``, values in [-127, 127].
      bias: int32 ``[out_features]``, the input's zero point folded in.
      k_block: even, at least 2.
    """
    inputs = weights.shape[1]
    positive, negative = signed_sums(weights, k_block)
    high = INPUT_HIGH * positive - INPUT_LOW * negative
    low = INPUT_LOW * positive - INPUT_HIGH * negative
    offsets = [np.zeros((1, 1), np.int64)]
    if k_block > _even(inputs):
        offsets.append(bias.astype(np.int64)[:, None])
    return all(
        bool((low + offset >= -SUM_LIMIT).all() and (high + offset < SUM_LIMIT).all())
        for offset in offsets
    )


def exact_k_block(weights: NDArray[np.int8], bias: NDArray[np.int32]) -> int:
    """The largest ``k_block`` of the whole row with its bias, the row, a half of it, a quarter, ...

    Blocks of at most 512 inputs are exact for all weights: 512 * 127 * 128 < 2**23. Arguments as
    for :func:`is_exact`.

    >>> exact_k_block(np.full((1, 600), 100, np.int8), np.zeros(1, np.int32))
    602
    >>> exact_k_block(np.full((1, 600), 100, np.int8), np.full(1, 1 << 22, np.int32))
    600
    >>> exact_k_block(np.full((1, 600), 127, np.int8), np.zeros(1, np.int32))
    300
    """
    block = _even(weights.shape[1])
    if is_exact(weights, bias, block + BIAS_INPUTS):
        return block + BIAS_INPUTS
    while not is_exact(weights, bias, block):
        block = _even(block // 2)
    return block
