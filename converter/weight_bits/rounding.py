# SPDX-License-Identifier: Apache-2.0
"""Rounds the weights of a layer to numbers in [-7, 7] and a scale for each channel.

`against_inputs` is GPTQ (Frantar et al. 2023): inputs are rounded one after another, and what each
leaves as an error of the layer's output is made up for by those that are still to come, as far as
the covariance of the layer's inputs allows. Where layers before it are rounded already, it begins
from the weights that give the float network's outputs best on the inputs as they have become
(docs/weight_bits.md).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.weight_bits.moments import Moments
from tflm_custom_ops.ops.layouts import MAX4

Array = NDArray[np.float64]

SCALES = np.linspace(0.5, 1.0, 26)  # of the largest weight's
_DAMPING = 0.01  # of the mean variance, so that a covariance of few samples has an inverse


@dataclasses.dataclass(frozen=True, eq=False)
class Rounded:
    """Weights = numbers * scale.

    Attributes:
      numbers: int8 [channels, inputs] in [-7, 7].
      scale: float64 [channels], > 0; values of float32.
      bias: float64 [channels], that is added to keep the mean of the outputs.
    """

    numbers: NDArray[np.int8]
    scale: Array
    bias: Array

    @property
    def values(self) -> Array:
        """Real weights."""
        return self.numbers * self.scale[:, None]


def _numbers(weights: Array, scale: Array) -> Array:
    return np.clip(np.rint(weights / scale[:, None]), -MAX4, MAX4)


def _largest_scale(weights: Array) -> Array:
    largest = np.abs(weights).max(axis=1)
    return _float32(np.where(largest > 0, largest, 1.0) / MAX4)


def _float32(scale: Array) -> Array:
    return scale.astype(np.float32).astype(np.float64)


def nearest(weights: Array) -> Rounded:
    """Each to the nearest; the largest weight of a channel is 7.

    Args:
      weights: real, [channels, inputs].
    """
    scale = _largest_scale(weights)
    return Rounded(_numbers(weights, scale).astype(np.int8), scale, np.zeros(len(weights)))


def fitted_scale(weights: Array, importance: Array) -> Array:
    """The scale of each channel with the least squared error; large weights may be cut off.

    Args:
      importance: [inputs], the weight of an error there.
    """
    largest = _largest_scale(weights)
    best, least = largest, np.full(len(weights), np.inf)
    for share in SCALES:
        scale = _float32(share * largest)
        error = ((_numbers(weights, scale) * scale[:, None] - weights) ** 2) @ importance
        best = np.where(error < least, scale, best)
        least = np.minimum(error, least)
    return best


def _factor(covariance: Array, order: NDArray[np.intp]) -> tuple[float, Array]:
    """The damping, and the upper factor of the damped covariance's inverse, inputs in that order.

    Where inputs hardly change beside their mean, rounding of the sums leaves eigenvalues below 0:
    then the damping is larger.

    Raises:
      ValueError: a covariance that is not finite.
    """
    if not np.all(np.isfinite(covariance)):
        raise ValueError("weight_bits: got inputs of a layer that are not finite, expected numbers")
    damping = _DAMPING * max(float(np.diag(covariance).mean()), 1e-30)
    while True:
        try:
            inverse = np.linalg.inv(covariance + damping * np.eye(len(covariance)))
            return damping, np.linalg.cholesky(inverse[np.ix_(order, order)]).T
        except np.linalg.LinAlgError:
            damping *= 10


def _change(moments: Moments, covariance: Array, least: float) -> Array:
    """Of the weights that the change of the layer's inputs asks for: [inputs, inputs].

    Few rows tell little of it: they are damped the more.
    """
    shift = moments.across_covariance - covariance
    if not np.any(shift):
        return shift
    inputs, mean = len(covariance), max(float(np.diag(covariance).mean()), 1e-30)
    damping = max(least, (_DAMPING + inputs / max(1, moments.count)) * mean)
    return np.asarray(np.linalg.solve(covariance + damping * np.eye(inputs), shift.T).T)


def against_inputs(weights: Array, moments: Moments) -> Rounded:
    """So that the layer's outputs change least.

    Args:
      weights: real, [channels, inputs].
      moments: of what the layer reads.
    """
    covariance = moments.covariance
    variance = np.diag(covariance)
    order = np.argsort(-variance, kind="stable")
    damping, factor = _factor(covariance, order)
    aims = weights + weights @ _change(moments, covariance, damping)
    scale = fitted_scale(aims, variance + damping)
    left, numbers = aims[:, order], np.empty(weights.shape)
    for i in range(len(order)):
        column = left[:, i]
        rounded = np.clip(np.rint(column / scale), -MAX4, MAX4)
        error = (column - rounded * scale) / factor[i, i]
        left[:, i + 1 :] -= np.outer(error, factor[i, i + 1 :])
        numbers[:, order[i]] = rounded
    bias = weights @ moments.x_mean - (numbers * scale[:, None]) @ moments.y_mean
    return Rounded(numbers.astype(np.int8), scale, bias)
