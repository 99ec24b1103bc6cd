# SPDX-License-Identifier: Apache-2.0
"""The threshold: how far a fused result may be from the float one.

At most as far as the plain int8 result, or within 0.5 dB of it, in power. Both are measured on the
same probes, element by element, so their difference has an uncertainty that is known: a result is
refused when it is over the threshold by more than chance.

The plain result is often several dB farther away, and a fault could hide there. So errors that are
no noise are looked at on their own, with limits that do not depend on the plain result: a mean
error of a channel or of a place (a lost bias, a zero point, positions), and a part of the error
that follows what a block computes, or what passes by (a scale).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.op_semantics import Array

THRESHOLD_DB = 0.5
_LIMIT = 10.0 ** (THRESHOLD_DB / 10.0)
_SIGMAS = 3.0  # of the measurement, before a difference is believed
_PLACES = 16  # fewer do not show their own spread: two probabilities err by the same
_FLOOR = 1e-12  # of the signal's power: nothing is quantized as finely, float32 ends here


@dataclasses.dataclass(eq=False)
class Noise:
    """Errors of the fused and of the plain result against the float one, over all probes.

    Attributes:
      columns: features of the last axis.
      step: unit of the result's type.
    """

    columns: int
    step: float
    count: int = 0
    signal: float = 0.0
    fused: float = 0.0
    plain: float = 0.0

    def __post_init__(self) -> None:
        self._rows = self._probes = 0
        self._over = np.zeros(1)
        self._channels, self._places = (_Means(np.zeros(1), np.zeros(1)) for _ in range(2))
        self._branch, self._stream = _Regression(_BRANCH_GAIN), _Regression(_STREAM_GAIN)

    def add(self, exact: Array, fused: Array, plain: Array, x: Array | None = None) -> None:
        """One probe's results, real values of one shape; `x`: the block's input if it is added.

        Where the float network has no number (1 / 0) there is nothing to be near to.
        """
        truth = exact.astype(np.float64).reshape(-1, self.columns)
        f, p = (y.astype(np.float64).reshape(truth.shape) - truth for y in (fused, plain))
        known = np.isfinite(truth)
        if not known.all():
            truth, f, p = (np.where(known, values, 0.0) for values in (truth, f, p))
        over = f * f - _LIMIT * p * p
        self.count += truth.size
        self.signal += float(np.sum(truth * truth))
        self.fused += float(np.sum(f * f))
        self.plain += float(np.sum(p * p))
        self._over = self._over + over
        self._rows += len(truth)
        self._probes += 1
        self._channels.add(f.sum(axis=0), p.sum(axis=0))
        self._places.add(f, p)
        stream = None if x is None else x.astype(np.float64).reshape(truth.shape)
        self._branch.add(truth if stream is None else truth - stream, f, p)
        if stream is not None:
            self._stream.add(stream, f, p)

    @property
    def excess(self) -> float:
        """Power of the fused errors over the threshold, all values together."""
        return float(np.sum(self._over))

    @property
    def sigma(self) -> float:
        """Standard deviation of `excess`, of the spread between the places of a result.

        Errors at one place may be the same in every probe, so probes do not count as samples.
        """
        spread = float(np.sum(self._over**2)) - self.excess**2 / self._over.size
        return float(np.sqrt(max(0.0, spread)))

    @property
    def decided(self) -> bool:
        """Whether more probes would not change the verdict."""
        return abs(self.excess) > 2.0 * _SIGMAS * self.sigma

    @property
    def fused_db(self) -> float:
        return _db(self.signal, self.fused)

    @property
    def plain_db(self) -> float:
        return _db(self.signal, self.plain)

    def over_threshold(self) -> str | None:
        """That the fused result is farther away than allowed, or None."""
        # Of n independent errors each: the logarithm of the ratio has variance 4 / n. One less
        # than there are places: those of a softmax sum to 0.
        chance = np.exp(_SIGMAS * np.sqrt(4.0 / max(1, self._over.size - 1)))
        spread = self._over.size >= _PLACES and self.excess > _SIGMAS * self.sigma
        far = spread or self.fused > _LIMIT * chance * self.plain
        if far and self.fused > _FLOOR * self.signal:
            return (
                f"on probe inputs it is {self.fused_db:.1f} dB from the float result, the plain "
                f"operators {self.plain_db:.1f} dB"
            )
        return None

    def refusal(self) -> str | None:
        """Why the fused result is not good enough, errors that are no noise included; or None."""
        far = self.over_threshold()
        if far is not None:
            return far
        noise = self.fused / max(1, self.count)
        for regression, what in ((self._branch, "what it computes"), (self._stream, "its input")):
            gain = regression.excess(noise)
            if gain is not None:
                return f"on probe inputs {what} comes out {1 + gain:.4f} times as large"
        return self._mean_refusal(noise)

    def _mean_refusal(self, noise: float) -> str | None:
        """Errors that stay when they are averaged: of each channel, and of each place."""
        for means, count in ((self._channels, self._rows), (self._places, self._probes)):
            if means.is_excess(noise, self.step, count):
                off, plain = (means.root(sums, count) for sums in (means.fused, means.plain))
                return f"on probe inputs it is off by {off:.3g}, the plain operators by {plain:.3g}"
        return None


@dataclasses.dataclass(eq=False)
class _Means:
    """Sums of the fused and of the plain result's errors, each of `count` values."""

    fused: Array
    plain: Array

    def add(self, fused: Array, plain: Array) -> None:
        self.fused = self.fused + fused
        self.plain = self.plain + plain

    @staticmethod
    def root(sums: Array, count: int) -> float:
        return float(np.sqrt(np.mean((sums / count) ** 2)))

    def is_excess(self, noise: float, step: float, count: int) -> bool:
        """Whether the fused result's means are more than what noise and rounding make of them.

        And more than the plain result's: rounding of values that are the same in every probe.
        """
        # A mean of n values with that noise has variance noise / n; that of its square is twice.
        chance = noise / count * (1.0 + _SIGMAS * np.sqrt(2.0 / self.fused.size))
        allowed = max(_MEAN_STEPS * step, _MEAN_NOISE * np.sqrt(noise))
        own = (self.fused, self.fused - self.plain)
        return all(self.root(sums, count) ** 2 > chance + allowed**2 for sums in own)


@dataclasses.dataclass(eq=False)
class _Regression:
    """How much of the errors follows a signal: error = gain * signal + the rest."""

    allowed: float
    power: float = 0.0
    fused: float = 0.0
    plain: float = 0.0

    def add(self, signal: Array, fused: Array, plain: Array) -> None:
        self.power += float(np.sum(signal * signal))
        self.fused += float(np.sum(signal * fused))
        self.plain += float(np.sum(signal * plain))

    def excess(self, noise: float) -> float | None:
        """The fused result's gain, where it is more than noise and rounding make of it.

        The plain result's gain is that of the same rounding: with few values, or of a unit or two,
        it can be large, and a fault is what the fused result has besides.
        """
        if self.power <= 0.0:
            return None
        gain = self.fused / self.power
        allowed = self.allowed + _SIGMAS * float(np.sqrt(noise / self.power))
        own = (gain, gain - self.plain / self.power)
        return gain if all(abs(g) > allowed for g in own) else None


# What right operators have, over 59 networks of others: below half of each.
_BRANCH_GAIN = 0.012  # of what a block computes; quantized exponentials and tables
_STREAM_GAIN = 0.002  # of what passes by
_MEAN_STEPS = 0.4  # of the output's type
_MEAN_NOISE = 0.8  # where the type is finer than the noise (int16)


def _db(signal: float, noise: float) -> float:
    return 10.0 * float(np.log10(max(signal, 1e-300) / max(noise, 1e-300)))
