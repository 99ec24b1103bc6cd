# SPDX-License-Identifier: Apache-2.0
"""Integer LayerNorm and RMSNorm (docs/operators.md, LayerNorm; Ba et al. 2016; Zhang and Sennrich
2019)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops.parts import Norm, NormKind
from tflm_custom_ops.reference.requant import Int64Array, check_int32, mulh


def variance_to_reciprocal(variance: int) -> tuple[int, int]:
    """(R, a) of a token's V = D * S2 - S1**2 + E, at least 1 and below 2**50.

    R is the reciprocal square root with 45 + e fraction bits, a = 9 - e the shift that goes with
    it.
    """
    if not 1 <= variance < 1 << 50:
        raise OverflowError(f"LayerNorm variance: got {variance}, expected 1 <= V < 2**50")
    # V * 2**(-2e) in [2**30, 2**32): floor((bits - 31) / 2) puts the top bit at 30 or 31.
    e = (variance.bit_length() - 31) // 2
    v = variance >> (2 * e) if e >= 0 else variance << (-2 * e)
    q = math.isqrt(v)
    return ((2**32 - 1) // q) << 13, 9 - e


def normalize(p: Norm, x: ArrayLike, zero_point: int = 0) -> Int64Array:
    """int8 values (as int64) ``[tokens, embed_dim]`` of x int8 or int16.

    Args:
      zero_point: of x; LayerNorm does not depend on it.
    """
    x = np.asarray(x, np.int64)
    d = x.shape[1]
    if p.kind is NormKind.RMS:
        centred = x - zero_point
        variance = d * (centred * centred).sum(axis=1) + p.epsilon
        return scaled_rows(d * centred, variance, p.gamma, p.beta, "RMSNorm")
    s1 = x.sum(axis=1)
    variance = d * (x * x).sum(axis=1) - s1 * s1 + p.epsilon
    return scaled_rows(d * x - s1[:, None], variance, p.gamma, p.beta, "LayerNorm")


def scaled_rows(
    numerators: Int64Array,
    variance: Int64Array,
    gamma: ArrayLike,
    beta: ArrayLike,
    what: str,
) -> Int64Array:
    """int8 values (as int64) of D times each centred element and D**2 times its variance.

    Args:
      numerators: ``[tokens, embed_dim]``.
      variance: V ``[tokens]``, raised to 1 where it is 0.
      gamma, beta: ``[embed_dim]``, the latter with the output's zero point and half a step.
    """
    reciprocals = [variance_to_reciprocal(int(v)) for v in np.maximum(variance, 1)]
    r = np.array([pair[0] for pair in reciprocals], np.int64)[:, None]
    a = np.array([pair[1] for pair in reciprocals], np.int64)[:, None]
    t = check_int32(numerators << a, f"{what} t")
    u = mulh(mulh(t, r), gamma) + np.asarray(beta, np.int64)
    y: Int64Array = np.clip(check_int32(u, f"{what} u") >> 8, -128, 127)
    return y
