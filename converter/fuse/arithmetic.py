# SPDX-License-Identifier: Apache-2.0
"""Integer parameters from real ones, with the proofs that nothing overflows.

`docs/operators.md` defines them. Every function raises `BoundError` with the reason where a number
would leave its range; the pattern then stays as builtin operators.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import BoundError
from tflm_custom_ops.exact_sums import exact_k_block, signed_sums
from tflm_custom_ops.ops import MAX_EMBED_DIM, MAX_EMBED_DIM_16, Linear, Norm
from tflm_custom_ops.ops.layouts import UNIT4, WeightLayout, is_small
from tflm_custom_ops.ops.parts import NormKind
from tflm_custom_ops.ops.schema.residual import INT8, INT16, RESIDUAL_TYPES

INT32_MAX = 2**31 - 1
MAX_SHIFT = 15  # range of Linear.shift
VARIANCE_LIMIT = 2**50  # of V, so that a = 9 - e stays >= 0 (docs/operators.md, LayerNorm)


@dataclasses.dataclass(frozen=True)
class Range:
    """A quantized tensor's type: real = scale * (q - zero_point), q in low..high."""

    scale: float
    zero_point: int
    low: int = INT8.low
    high: int = INT8.high

    @classmethod
    def int16(cls, largest: float) -> Range:
        """Symmetric int16 that holds -largest..largest."""
        return cls(largest / INT16.high, 0, INT16.low, INT16.high)

    @property
    def bits(self) -> int:
        return next(t.bits for t in RESIDUAL_TYPES if self.high <= t.high)

    def quantize(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Real values to integers, rounded to nearest (halves up) and clamped."""
        q = np.floor(np.asarray(values) / self.scale + self.zero_point + 0.5)
        return np.clip(q, self.low, self.high).astype(np.int64)


def rounded(value: float) -> int:
    """Nearest integer, halves up."""
    return math.floor(value + 0.5)


@dataclasses.dataclass(frozen=True, eq=False)
class Multiplier:
    """factor = value * 2**(shift - 32); value int32, one per factor."""

    value: NDArray[np.int64]
    shift: int


def fixed_point(
    factors: NDArray[np.float64], largest_input: int, what: str, max_shift: int = MAX_SHIFT
) -> Multiplier:
    """The multiplier with the smallest shift that holds every factor.

    Args:
      factors: real, >= 0.
      largest_input: bound of |input|; the shifted input must stay below 2**31.
      what: for messages.
    """
    top = float(np.max(factors))
    if not math.isfinite(top) or top < 0:
        raise BoundError(f"{what}: got factor {top}, expected a finite positive number")
    for shift in range(max_shift + 1):
        value = np.floor(factors * 2.0 ** (32 - shift) + 0.5)
        if float(np.max(value)) <= INT32_MAX:
            if largest_input << shift > INT32_MAX:
                raise BoundError(
                    f"{what}: |input| up to {largest_input} shifted left by {shift} for factor "
                    f"{top:.4g} leaves 32 bits"
                )
            return Multiplier(value.astype(np.int64), shift)
    raise BoundError(f"{what}: factor {top:.4g} is too large (limit {2.0 ** (max_shift - 1):g})")


def scalar_fixed_point(
    factor: float, largest_input: int, what: str, max_shift: int = MAX_SHIFT
) -> tuple[int, int]:
    """(multiplier, shift) of one factor."""
    m = fixed_point(np.array([factor]), largest_input, what, max_shift)
    return int(m.value[0]), m.shift


def layer_params(
    weights: NDArray[np.int8],
    bias: NDArray[np.int64],
    factors: NDArray[np.float64],
    source: Range,
    target: Range,
    what: str,
) -> Linear:
    """`linear_params` of weights as a file has them: numbers of 4 bits are stored as such.

    A weight of 4 bits is 16 times its number, the bias and the factors follow. Layers whose sums
    would leave 32 bits by that stay at 8.
    """
    if is_small(weights):
        with contextlib.suppress(BoundError):
            large = (weights * UNIT4).astype(np.int8)
            layer = linear_params(large, bias * UNIT4, factors / UNIT4, source, target, what)
            return dataclasses.replace(layer, layout=WeightLayout.QUADS4)
    return linear_params(weights, bias, factors, source, target, what)


def linear_params(
    weights: NDArray[np.int8],
    bias: NDArray[np.int64],
    factors: NDArray[np.float64],
    source: Range,
    target: Range,
    what: str,
) -> Linear:
    """`Linear` of a layer of 8 bits.

    Args:
      weights: int8 [out_features, in_features].
      bias: int64 [out_features] in accumulator units, without the input's zero point.
      factors: float64 [out_features], accumulator unit over target unit.
      source, target: types of input and output; `target` limits the output.
      what: names the layer in messages.
    """
    positive, negative = (sums[:, 0] for sums in signed_sums(weights, weights.shape[1]))
    folded = bias - source.zero_point * (positive - negative)
    high = folded + source.high * positive - source.low * negative
    low = folded + source.low * positive - source.high * negative
    # Partial sums start at the bias: zero the terms that pull back towards it.
    peak = np.abs(folded) + max(abs(source.low), abs(source.high)) * (positive + negative)
    if int(peak.max()) > INT32_MAX:
        raise BoundError(f"{what}: a sum of up to {int(peak.max())} leaves 32 bits")
    largest = int(max(np.abs(high).max(), np.abs(low).max()))
    multiplier = fixed_point(factors, largest, what)
    whole_bias = folded.astype(np.int32)
    return Linear(
        weights=weights,
        bias=whole_bias,
        multiplier=multiplier.value.astype(np.int32),
        shift=multiplier.shift,
        out_zero_point=target.zero_point,
        out_min=target.low,
        out_max=target.high,
        k_block=exact_k_block(weights, whole_bias),
    )


def norm_params(
    gamma: NDArray[np.float64],
    beta: NDArray[np.float64],
    epsilon: float,
    source: Range,
    target: Range,
    what: str,
    kind: NormKind = NormKind.LAYER,
) -> Norm:
    """`Norm` of a LayerNorm or RMSNorm over `len(gamma)` features."""
    if kind is NormKind.RMS:  # what counts is the distance from the zero point
        reach = max(source.high - source.zero_point, source.zero_point - source.low)
        source = dataclasses.replace(source, low=-reach, high=reach)
    width = len(gamma)
    widest = MAX_EMBED_DIM if source.bits == 8 else MAX_EMBED_DIM_16
    if width > widest:
        raise BoundError(
            f"{what}: embed_dim {width}, expected at most {widest} of int{source.bits} values"
        )
    fixed_gamma = np.floor(gamma / target.scale * 2.0**18 + 0.5)
    fixed_beta = np.floor((beta / target.scale + target.zero_point + 0.5) * 256.0 + 0.5)
    if float(np.max(np.abs(fixed_gamma))) > INT32_MAX:
        raise BoundError(f"{what}: gamma / scale up to {np.max(np.abs(gamma)) / target.scale:.4g}")
    # |n| <= sqrt(D - 1) with 22 fraction bits, so |u| <= this; one more for the rounding.
    peak = np.sqrt(width) * 2.0**22 * np.abs(fixed_gamma) / 2.0**32 + np.abs(fixed_beta) + 2
    if float(np.max(peak)) > INT32_MAX:
        raise BoundError(f"{what}: gamma or beta over the output scale leaves 32 bits")
    integer_epsilon = rounded(epsilon * width * width / source.scale**2)
    # V = D * S2 - S1 ** 2 <= D ** 2 * max(x ** 2).
    largest = width * width * max(abs(source.low), abs(source.high)) ** 2
    if integer_epsilon + largest >= VARIANCE_LIMIT:
        raise BoundError(
            f"{what}: epsilon {epsilon:g} is too large for input scale {source.scale:g}"
        )
    gammas, betas = fixed_gamma.astype(np.int32), fixed_beta.astype(np.int32)
    return Norm(gammas, betas, integer_epsilon, kind=kind)


def activation_table(values: NDArray[np.float64], target: Range) -> NDArray[np.int8]:
    """int8 [256]: the function's values in the target's units."""
    return target.quantize(values).astype(np.int8)


def exp_table(tokens: int) -> NDArray[np.uint16]:
    """uint16 [256]: round((2**bits - 1) * 2**(-f / 256)), bits so that `tokens` of them < 2**23."""
    bits = min(15, 23 - math.ceil(math.log2(tokens)))
    if bits < 1:
        raise BoundError(f"attention over {tokens} tokens leaves no bits for the exponentials")
    top = (1 << bits) - 1
    return np.floor(top * 2.0 ** (-np.arange(256) / 256.0) + 0.5).astype(np.uint16)
