# SPDX-License-Identifier: Apache-2.0
"""Vectors for pairs of tokens as tables by row and by column distance on a grid.

As AutoFormer has them (Chen et al., ICCV 2021): tokens behind a prefix (class token) form a grid,
distances are clipped, and a pair with a token of the prefix has an entry of its own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from converter.fuse.errors import BoundError, NoMatchError
from converter.fuse.patterns.relative import RelativeVectors
from tflm_custom_ops.ops.attention.params import MAX_RELATIVE_SHIFT, RELATIVE_BITS
from tflm_custom_ops.ops.schema.limits import LIMITS

Real = NDArray[np.float64]

_MOST_PREFIX = 8  # tokens that are tried for the prefix
_TOLERANCE = 1.05  # steps that a sum of two entries may be off: each vector is rounded to one
_EXACT = 1e-6  # of a step


@dataclasses.dataclass(frozen=True, eq=False)
class RelativeTables:
    """Fields of `Attention`; tables real [4 * distance + 4, features], None for none."""

    prefix_tokens: int
    grid_height: int
    grid_width: int
    distance: int
    keys: Real | None
    values: Real | None


def relative_tables(vectors: RelativeVectors) -> RelativeTables:
    """The tables whose sums the vectors are.

    Raises:
      NoMatchError: there are none, for no grid.
    """
    both = ((vectors.keys, vectors.key_step), (vectors.values, vectors.value_step))
    given = [(v, step) for v, step in both if v is not None]
    reason = "constants for pairs of tokens are not by row and column distance on a grid"
    for prefix, height, width in _grids(len(given[0][0])):
        for distance in range(1, LIMITS["MAX_RELATIVE_DISTANCE"] + 1):
            grid = _Grid(prefix, height, width, distance)
            if not all(grid.explains(v, step) for v, step in given):
                continue
            tables = [None if v is None else grid.tables(v, step) for v, step in both]
            if all(t is not None for t, (v, _) in zip(tables, both, strict=True) if v is not None):
                return RelativeTables(prefix, height, width, distance, *tables)
            reason = "constants for pairs of tokens are no sums by row and by column"
            break  # larger distances tell more pairs apart, of the same vectors
    raise NoMatchError(reason)


def _grids(tokens: int) -> Iterator[tuple[int, int, int]]:
    """(prefix, height, width), the likely ones first."""
    for prefix in (1, 0, *range(2, _MOST_PREFIX + 1)):
        count = tokens - prefix
        sides = [n for n in range(1, max(0, count) + 1) if count % n == 0]
        for height in sorted(sides, key=lambda n: abs(math.log(n * n / count))):
            yield prefix, height, count // height


@dataclasses.dataclass(frozen=True)
class _Grid:
    prefix: int
    height: int
    width: int
    distance: int

    def _classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column entries, from 0, of pairs of the grid's tokens."""
        places = np.arange(self.height * self.width)
        found = []
        for at in (places // self.width, places % self.width):
            difference = at[None, :] - at[:, None]
            found.append(np.clip(difference, -self.distance, self.distance) + self.distance)
        return found[0], found[1]

    def explains(self, vectors: Real, step: float) -> bool:
        """Whether pairs at one distance have one vector, and those of the prefix another."""
        p, limit = self.prefix, _EXACT * step
        if p and max(np.ptp(vectors[:p], axis=(0, 1)).max(), _spread(vectors[p:, :p])) > limit:
            return False
        if p and np.abs(vectors[0, 0] - vectors[p:, :p]).max(initial=0.0) > limit:
            return False
        row, column = self._classes()
        number = row * (2 * self.distance + 1) + column
        _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
        flat = vectors[p:, p:].reshape(-1, vectors.shape[2])
        return bool(np.abs(flat - flat[first][inverse.reshape(-1)]).max() <= limit)

    def tables(self, vectors: Real, step: float) -> Real | None:
        """Entries of both tables; None where vectors are no sums of two."""
        p, count = self.prefix, 2 * self.distance + 1
        row, column = self._classes()
        found = np.full((count, count, vectors.shape[2]), np.nan)
        found[row, column] = vectors[p:, p:]
        rows, columns = ~np.isnan(found[:, :, 0]).all(axis=1), ~np.isnan(found[:, :, 0]).all(axis=0)
        present = found[rows][:, columns]
        middle = present.mean(axis=(0, 1)) / 2
        tables = np.zeros((2, count + 1, vectors.shape[2]))
        tables[0, 1:][rows] = present.mean(axis=1) - middle
        tables[1, 1:][columns] = present.mean(axis=0) - middle
        sums = tables[0, 1:][rows][:, None] + tables[1, 1:][columns][None]
        if np.abs(sums - present).max() > _TOLERANCE * step:
            return None
        if p:
            tables[:, 0] = vectors[0, 0] / 2
        return tables.reshape(-1, vectors.shape[2])


def _spread(vectors: Real) -> float:
    return float(np.ptp(vectors, axis=(0, 1)).max(initial=0.0)) if vectors.size else 0.0


def in_units(
    table: Real | None, unit: float, count: int, features: int
) -> tuple[NDArray[np.int8], int]:
    """(int8 entries, shift) of a table, in units of unit * 2^(3 - shift); zeros for none.

    Raises:
      BoundError: an entry is larger than the largest unit holds.
    """
    if table is None:
        return np.zeros((count, features), np.int8), 0
    coarsest = unit * 2**RELATIVE_BITS
    largest = float(np.abs(table).max()) / coarsest
    if largest >= 127.5:
        raise BoundError(f"a relative entry is {largest / 127:.4g} times what its table holds")
    shift = max(s for s in range(MAX_RELATIVE_SHIFT + 1) if largest * 2**s < 127.5)
    return np.rint(table / coarsest * 2**shift).astype(np.int8), shift
