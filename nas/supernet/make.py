# SPDX-License-Identifier: Apache-2.0
"""The supernet of a space of either kind."""

from __future__ import annotations

from nas.space.any_space import Searchable, expect_one_stage
from nas.space.staged_space import StagedSpace
from nas.supernet.net import Supernet
from nas.supernet.shared import SharedWeights
from nas.supernet.staged_net import StagedSupernet


def make_supernet(space: Searchable, seed: int = 0, synchronized: bool = False) -> SharedWeights:
    """A built supernet, with first weights.

    Args:
      synchronized: batch normalization of stems uses the batch of all replicas.
    """
    net: SharedWeights
    if isinstance(space, StagedSpace):
        net = StagedSupernet(space, seed, synchronized)
    else:
        net = Supernet(expect_one_stage(space, "supernet"), seed, synchronized)
    net.build()
    return net
