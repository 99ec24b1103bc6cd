# SPDX-License-Identifier: Apache-2.0
"""Sampling aware of complexity: sub-networks of neighbouring steps differ little in size.

ElasticViT (Tang et al., ICCV 2023) finds that gradients of sub-networks far apart in size conflict,
and limits how far the sizes of two steps after another may differ. Here the multiply-accumulates of
what fits are parted into levels of equal share, and each step stays at its level or goes to the one
beside it, at random. In the long run every level is visited as often as any other, so that it is
the order of sub-networks that differs from uniform sampling, not how often each is seen.

The level of step n depends on the seed and n alone, so that a resumed training goes on exactly.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

LEVELS = 8
PROBES = 256  # networks whose sizes part the levels
_BLOCK = 1024  # moves that are drawn together


@dataclasses.dataclass(frozen=True)
class ComplexityLevels:
    """Levels of multiply-accumulates, and a walk over them.

    Attributes:
      edges: inner ones, ascending; level i holds sizes in (edges[i - 1], edges[i]].
      seed: of the walk.
    """

    edges: tuple[float, ...]
    seed: int

    @classmethod
    def of_sizes(cls, sizes: list[int], levels: int, seed: int) -> ComplexityLevels:
        """Levels that hold equal shares of the sizes; fewer where sizes repeat too often."""
        shares = np.arange(1, levels) / levels
        edges = np.unique(np.quantile(sizes, shares, method="lower"))
        # Nothing is above a level that ends in the largest size.
        return cls(tuple(float(e) for e in edges if e < max(sizes)), seed)

    @property
    def count(self) -> int:
        """Of levels."""
        return len(self.edges) + 1

    def level_of(self, macs: int) -> int:
        """The level that a network of this size is in."""
        return int(np.searchsorted(self.edges, macs))

    def level_of_step(self, number: int) -> int:
        """Where the walk is at a step: reflected at both ends, a level beside the last or it."""
        block, place = divmod(number, _BLOCK)
        start = int(np.random.default_rng((self.seed, 3)).integers(self.count))
        before = sum(int(_moves(self.seed, b).sum()) for b in range(block))
        at = start + before + int(_moves(self.seed, block)[: place + 1].sum())
        turned = at % (2 * self.count)
        return min(turned, 2 * self.count - 1 - turned)


@functools.lru_cache(maxsize=4096)
def _moves(seed: int, block: int) -> np.ndarray:
    """-1, 0 or 1 for each of a block's steps."""
    return np.random.default_rng((seed, 4, block)).integers(-1, 2, _BLOCK)
