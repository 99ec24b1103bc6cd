# SPDX-License-Identifier: Apache-2.0
"""Where in the supernet's matrices a network's weights are: the leading part of every size.

qkv's columns and proj's rows are heads of `head_dim` each, so that fewer or narrower heads are no
contiguous range of them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ArchConfig

PARTS = ("qkv", "proj", "fc1", "fc2")
Places = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of a block: width of a token, heads and their width, hidden units."""

    dim: int
    heads: int
    head_dim: int
    hidden: int

    @staticmethod
    def of(arch: ArchConfig, block: int) -> Sizes:
        """Those of a network's block."""
        return Sizes(arch.embed_dim, arch.heads[block], arch.head_dim, arch.hidden_dim(block))

    def common(self, other: Sizes) -> Sizes:
        """What both have."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Sizes(*[min(pair) for pair in pairs])


def places(part: str, whole: Sizes, used: Sizes) -> tuple[Places, Places]:
    """Rows and columns of a linear layer (of `PARTS`) of `whole` that a block of `used` has."""
    dim, hidden = np.arange(used.dim), np.arange(used.hidden)
    found = {
        "qkv": (dim, _heads(3, whole, used)),
        "proj": (_heads(1, whole, used), dim),
        "fc1": (dim, hidden),
        "fc2": (hidden, dim),
    }
    return found[part]


def _heads(count: int, whole: Sizes, used: Sizes) -> Places:
    """The leading numbers of the leading heads, of `count` matrices side by side."""
    shape = (count, whole.heads, whole.head_dim)
    return np.arange(np.prod(shape)).reshape(shape)[:, : used.heads, : used.head_dim].ravel()
