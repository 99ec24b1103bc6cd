# SPDX-License-Identifier: Apache-2.0
"""Fills the supernet of a space of stages from that of another one, as far as they overlap.

As `nas.supernet.inherit` does for spaces of one stage: a sub-network of both spaces gives the same
logits in both; what only the new one has keeps its first values, but a block behind the old depth
adds nothing at first (a separable one cannot).
"""

from __future__ import annotations

import re

import numpy as np

from nas.supernet.inherit import overlaid
from nas.supernet.initial import expect_stages
from nas.supernet.layout import PARTS, Sizes, places
from nas.supernet.shared import Floats
from nas.supernet.staged_net import StagedSupernet

_LINEAR = re.compile(rf"stage(\d+)_block\d+_({'|'.join(PARTS)})/(kernel|bias)$")
_MERGED = re.compile(r"stage(\d+)_(norm|down)/(gamma|beta|kernel)$")


def inherit_stages(new: StagedSupernet, old: StagedSupernet) -> None:
    """Overwrites the weights of a built supernet that another one has too.

    Raises:
      SpaceError: images, classes, stem or what all networks' stages share differ.
    """
    expect_stages(old.space, new.space)
    for name in new.table:
        value = new.values(name)
        if name in old.table:
            value = _joined(name, value, old.values(name), new, old)
        elif _adds(name):
            value = np.zeros_like(value)
        new.table[name].assign(value)
    for mine, theirs in zip(new.stem, old.stem, strict=True):
        for to, of in zip(mine.weights, theirs.weights, strict=True):
            to.assign(of)


def _adds(name: str) -> bool:
    """Whether a layer's output is added to the residual stream, so that zeros make a block the
    identity."""
    return bool(re.search(r"_block\d+_(proj|fc2)/kernel$|_residual_block\d+_b_bn/gamma$", name))


def _joined(
    name: str, value: Floats, given: Floats, new: StagedSupernet, old: StagedSupernet
) -> Floats:
    if match := _LINEAR.match(name):
        nets = (new, old)
        sizes = [net.block_sizes(net.places[int(match[1])]) for net in nets]
        mine, theirs = (Sizes(s.dim, s.heads, s.head_dim, s.hidden) for s in sizes)
        common = mine.common(theirs)
        (rows, columns), (of_rows, of_columns) = (
            places(match[2], whole, common) for whole in (mine, theirs)
        )
        value = value.copy()
        if match[3] == "bias":
            value[columns] = given[of_columns]
        else:
            value[np.ix_(rows, columns)] = given[np.ix_(of_rows, of_columns)]
        return value
    if name.endswith("_sdpa/bias_table"):
        return _centred(value, given)
    if (match := _MERGED.match(name)) and new.space.stages[int(match[1])].down == "merge":
        place = int(match[1])
        parts = new.space.stages[place].stride ** 2
        shapes = [(parts, net.places[place].source, *each.shape[1:]) for net, each in
                  ((new, value), (old, given))]  # fmt: skip
        both = [each.reshape(shape) for each, shape in zip((value, given), shapes, strict=True)]
        return overlaid(*both).reshape(value.shape)
    return overlaid(value, given)


def _centred(value: Floats, given: Floats) -> Floats:
    """Distances are counted from the middle."""
    far, heads = min(len(value), len(given)), min(value.shape[2], given.shape[2])
    to, of = ((len(each) - far) // 2 for each in (value, given))
    value = value.copy()
    value[to : to + far, to : to + far, :heads] = given[of : of + far, of : of + far, :heads]
    return value
