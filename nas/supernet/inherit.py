# SPDX-License-Identifier: Apache-2.0
"""Fills a supernet from the trained supernet of another space, as far as the spaces overlap.

Both keep a sub-network's weights in the leading part of each matrix, so that the common leading
parts are copied: a sub-network of both spaces gives the same logits in both. What only the new
space has keeps its first values, except that blocks behind the old depth start as the identity.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_models.arch import StemLayer
from nas.supernet import resize
from nas.supernet.initial import expect_space
from nas.supernet.layout import PARTS, places
from nas.supernet.net import Supernet
from nas.supernet.shared import Floats


def inherit(new: Supernet, old: Supernet) -> None:
    """Overwrites the weights of a built supernet that another one has too.

    Raises:
      SpaceError: images, classes, heads or the form of the linear layers differ.
    """
    expect_space(old.space, new.space)
    _Copy(new, old).run()


@dataclasses.dataclass(frozen=True)
class _Copy:
    new: Supernet
    old: Supernet

    def run(self) -> None:
        for name in self.new.table:
            if name.endswith("_patch/kernel") or name.endswith("_patch/bias"):
                continue  # belong to a stem, below
            if name == "embedding/position":
                self._positions()
            elif name not in self.old.table:
                self._beyond(name)
            elif _part(name):
                self._linear(name, _part(name))
            else:
                self._put(name, overlaid(self.new.values(name), self.old.values(name)))
        for stem in self.new.stems:
            if stem in self.old.stems:
                self._stem(stem)

    def _put(self, name: str, value: Floats) -> None:
        self.new.table[name].assign(value)

    def _beyond(self, name: str) -> None:
        """A block that the old supernet lacks adds nothing at first."""
        layer = name.removesuffix("/kernel").removesuffix("_b")
        last = f"{layer}_b/kernel" in self.new.table
        if layer.endswith(("_proj", "_fc2")) and name == f"{layer}{'_b' if last else ''}/kernel":
            self._put(name, np.zeros_like(self.new.values(name)))

    def _linear(self, name: str, part: str) -> None:
        """The rows and columns that a block of both supernets has; of a pair the leading ranks."""
        common = self.new.sizes.common(self.old.sizes)
        mine, theirs = (places(part, net.sizes, common) for net in (self.new, self.old))
        value, given = self.new.values(name).copy(), self.old.values(name)
        layer, kind = name.split("/")
        ranks = np.arange(min(value.shape[-1], given.shape[-1]))
        if kind == "bias":
            value[mine[1]] = given[theirs[1]]
        elif layer.endswith("_a"):
            value[np.ix_(mine[0], ranks)] = given[np.ix_(theirs[0], ranks)]
        elif layer.endswith("_b"):
            ranks = np.arange(min(len(value), len(given)))
            value[np.ix_(ranks, mine[1])] = given[np.ix_(ranks, theirs[1])]
        else:
            value[np.ix_(*mine)] = given[np.ix_(*theirs)]
        self._put(name, value)

    def _positions(self) -> None:
        name = "embedding/position"
        given, (grid, wanted) = self.old.values(name), (self.old.stored_grid, self.new.stored_grid)
        if wanted > grid:
            given = resize.position_enlarging_matrix(grid, wanted) @ given
        elif wanted < grid:
            given = resize.position_matrix(wanted, grid) @ given
        self._put(name, overlaid(self.new.values(name), given))

    def _stem(self, stem: tuple[StemLayer, ...]) -> None:
        for mine, theirs in zip(self.new.stems[stem], self.old.stems[stem], strict=True):
            for to, of in zip(mine.weights, theirs.weights, strict=True):
                to.assign(of)
        mine, theirs = (f"{net.stem_names[stem]}_patch" for net in (self.new, self.old))
        has, wanted = self.old.stored_patch[stem], self.new.stored_patch[stem]
        kernel = self.old.values(f"{theirs}/kernel")
        flat = kernel.reshape(has**2, -1)
        if wanted < has:
            flat = resize.kernel_matrix(wanted, has) @ flat
        elif wanted > has:  # the kernel of least norm that resizes to the old one
            flat = np.asarray(np.linalg.pinv(resize.kernel_matrix(has, wanted)) @ flat, np.float32)
        kernel = flat.reshape(-1, kernel.shape[-1])
        self._put(f"{mine}/kernel", overlaid(self.new.values(f"{mine}/kernel"), kernel))
        bias = overlaid(self.new.values(f"{mine}/bias"), self.old.values(f"{theirs}/bias"))
        self._put(f"{mine}/bias", bias)


def _part(name: str) -> str:
    """Of `PARTS`, for a weight of a block's linear layer ("block0_qkv_a/kernel"); else empty."""
    layer = name.split("/")[0].removesuffix("_a").removesuffix("_b")
    part = layer.split("_", 1)[-1] if layer.startswith("block") else ""
    return part if part in PARTS else ""


def overlaid(new: Floats, old: Floats) -> Floats:
    """`new` with its part that `old` has too, from index 0 in every dimension, replaced."""
    part = tuple(slice(min(n, o)) for n, o in zip(new.shape, old.shape, strict=True))
    value = new.copy()
    value[part] = old[part]
    return value
