# SPDX-License-Identifier: Apache-2.0
"""A constant on the scores as integers: what hides a key, and what is added.

Softmax does not change when a row is shifted, so the largest entry of a row is taken for 0. An
entry so far below it that no score can make up for it hides its key. How far scores can differ is
known from the range of the product's tensor, which was learnt with the network.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import BoundError
from converter.fuse.patterns.core_views import shortest
from tflm_custom_ops.reference.softmax import MASKED

# exp is 0 in 15 bits after 16 octaves (docs/operators.md); two more for rounding of the scores.
_VANISHES = 18.0 * math.log(2.0)
_LARGEST = 32767
_MAX_SHIFT = 8


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreBias:
    """Fields of `AttentionCore`.

    Attributes:
      values: int16 [bias_batches, bias_heads, tokens, key_tokens], None for no bias.
      largest: bound of |values << shift|, hidden keys left out.
    """

    causal: bool
    past_tokens: int
    values: NDArray[np.int16] | None
    shift: int
    largest: int


def score_bias(
    bias: NDArray[np.float64],
    replaced: NDArray[np.bool_],
    unit: float,
    limits: tuple[float, float],
) -> ScoreBias:
    """The bias of scores in units of `unit`.

    Args:
      bias: real [batches, heads, tokens, key_tokens].
      replaced: of that shape; the constant stands in the place of the score.
      unit: real value of 1 in a score.
      limits: least and greatest score, real.

    Raises:
      BoundError: the constants are finer or larger than 16 bits with a shift hold, or one takes
        the place of a score without hiding it.
    """
    if not np.any(bias) and not np.any(replaced):
        return ScoreBias(False, 0, None, 0, 0)
    shifted = _below_largest(bias, replaced)
    hidden = hidden_keys(bias, replaced, limits)
    if np.any(replaced & ~hidden):
        raise BoundError("a SELECT on the scores puts a number there that does not hide its key")
    real = np.where(hidden, 0.0, shifted)
    units = in_units(real, unit)
    if units is None:
        raise BoundError(f"a constant of {np.max(np.abs(real)):.4g} on the scores is too large")
    values, shift = units
    past = _past_tokens(hidden)
    reached = _until(past, hidden.shape)
    causal = not np.all(reached)
    if not np.any((hidden | (values != 0)) & reached):
        return ScoreBias(causal, past if causal else 0, None, 0, 0)
    table = shortest(np.where(hidden, MASKED, values).astype(np.int16))
    peak = int(np.max(np.abs(values.astype(np.int64)))) << shift
    return ScoreBias(causal, past if causal else 0, np.ascontiguousarray(table), shift, peak)


def _below_largest(bias: NDArray[np.float64], replaced: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Less the largest entry of each row, of the keys whose score counts."""
    if np.any(np.isnan(bias)):
        raise BoundError("a constant on the scores is no number")
    bias = np.maximum(bias, -np.finfo(np.float64).max)
    # A replaced score is a number, which need not be the largest of its row.
    seen = np.where(replaced, -np.inf, bias).max(axis=-1, keepdims=True)
    if not np.all(np.isfinite(seen)):
        raise BoundError("a SELECT on the scores leaves a query without keys")
    return np.asarray(bias - seen)


def hidden_keys(
    bias: NDArray[np.float64], replaced: NDArray[np.bool_], limits: tuple[float, float]
) -> NDArray[np.bool_]:
    """Where a constant is so far below the largest of its row that no score can make up for it.

    Raises:
      BoundError: a query has no keys.
    """
    low, high = limits
    most = np.where(replaced, -low, high - low)  # that a score can be above another
    return np.asarray(_below_largest(bias, replaced) + most < -_VANISHES)


def in_units(real: NDArray[np.float64], unit: float) -> tuple[NDArray[np.int16], int] | None:
    """(values, shift), int16 with values << shift in units of a score; None if they do not fit."""
    units = real / unit
    largest = float(np.max(np.abs(units)))
    shift = next((s for s in range(_MAX_SHIFT + 1) if largest <= _LARGEST << s), None)
    if shift is None:
        return None
    return np.floor(units / (1 << shift) + 0.5).astype(np.int16), shift


def _past_tokens(hidden: NDArray[np.bool_]) -> int:
    """The least p >= 0 so that every key after the query's place plus p is hidden."""
    tokens, keys = hidden.shape[-2:]
    reach = np.where(hidden, -1, np.arange(keys)).max(axis=-1)  # the last key that is seen
    return max(0, int(np.max(reach - np.arange(tokens))))


def _until(past: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    tokens, keys = shape[-2:]
    reached: NDArray[np.bool_] = np.arange(keys) <= np.arange(tokens)[:, None] + past
    return reached
