# SPDX-License-Identifier: Apache-2.0
"""Mean and covariance of what a layer reads, in the float network and in the one to be."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclasses.dataclass(eq=False)
class Moments:
    """Sums over the rows that a layer multiplies: x in the float network, y in the one to be.

    Attributes:
      count: rows.
      x_total, y_total: [inputs].
      products: y with y, [inputs, inputs].
      across: x with y, [inputs, inputs].
    """

    count: int
    x_total: Array
    y_total: Array
    products: Array
    across: Array

    @classmethod
    def none(cls, inputs: int) -> Moments:
        """Before the first row."""
        square = np.zeros((inputs, inputs))
        return cls(0, np.zeros(inputs), np.zeros(inputs), square, square.copy())

    @classmethod
    def of(cls, x: NDArray[np.floating], y: NDArray[np.floating] | None = None) -> Moments:
        """Of rows [rows, inputs]; without y of a layer whose inputs do not change."""
        found = cls.none(x.shape[1])
        found.add(x, x if y is None else y)
        return found

    def add(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
        """Rows [rows, inputs]."""
        self.count += len(x)
        self.x_total += x.sum(axis=0, dtype=np.float64)
        self.y_total += y.sum(axis=0, dtype=np.float64)
        products = (y.T @ y).astype(np.float64)
        self.products += products
        self.across += products if x is y else (x.T @ y).astype(np.float64)

    @property
    def x_mean(self) -> Array:
        """Of each input."""
        return self.x_total / max(1, self.count)

    @property
    def y_mean(self) -> Array:
        """Of each input."""
        return self.y_total / max(1, self.count)

    @property
    def covariance(self) -> Array:
        """Of y."""
        found = self.products / max(1, self.count) - np.outer(self.y_mean, self.y_mean)
        return np.asarray((found + found.T) / 2)

    @property
    def across_covariance(self) -> Array:
        """Of x (rows) with y (columns)."""
        return self.across / max(1, self.count) - np.outer(self.x_mean, self.y_mean)
