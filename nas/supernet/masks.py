# SPDX-License-Identifier: Apache-2.0
"""A sub-network as masks: numbers of fixed shape that select it in the supernet's weights.

Widths are data, not shapes, so that one compiled step serves every sub-network with the same
number of tokens. Selected are always the leading channels, heads, hidden units and ranks.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nas.space import DIMENSIONS, SearchSpace, SubnetConfig
from nas.space.stage_dimensions import STAGE_DIMENSIONS
from nas.space.staged_space import StagedSpace, StagedSubnet
from nas.supernet.stage_widths import StageWidths

Mask = NDArray[np.float32]
Masks = dict[str, Mask]  # a pytree of arrays, which is what compiled functions take
MASKS = tuple(mask for dimension in DIMENSIONS for mask in dimension.masks)

_Widths: Any = dataclasses.make_dataclass("_Widths", [(m.name, int) for m in MASKS], frozen=True)


class Widths(_Widths):
    """Widths of the supernet: the largest count of every mask in its space; ranks 0: dense layers.

    Fields are the masks' names: `dim`, `gate` (the depth), `heads`, `hidden`, `qkv`, `proj`, `fc1`,
    `fc2`.
    """

    @property
    def depth(self) -> int:
        return int(self.gate)


def widths_of(space: SearchSpace) -> Widths:
    """The widths that hold every sub-network of a space."""
    chosen = [d for d in space.dimensions if d.stored]
    every = [
        space.uniform(1, {d.name: v for d, v in zip(chosen, values, strict=True)})
        for values in itertools.product(*(d.choices(space) for d in chosen))
    ]
    counts = []
    for config in (*every, space.largest()):
        arch = space.dense_arch(config)
        counts.append([mask.count(space, config, arch, 0) for mask in MASKS])
    return Widths(*(int(most) for most in np.max(counts, axis=0)))


def masks_of(space: SearchSpace, widths: Widths, config: SubnetConfig) -> Masks:
    """The masks of a sub-network, float32 of zeros and ones.

    Returns:
      Of the network "dim" (dim,) and "gate" (depth,), and per block "heads" (depth, heads),
      "hidden" (depth, hidden), "qkv", "proj", "fc1", "fc2" (depth, rank or 1 for dense layers).
      Blocks behind the sub-network's depth have zeros.
    """
    arch, masks = space.dense_arch(config), {}
    for mask in MASKS:
        places = np.arange(max(1, getattr(widths, mask.name)))
        if mask.per_block:
            counts = [mask.count(space, config, arch, b) for b in range(config.depth)]
            counts += [0] * (widths.depth - config.depth)
            masks[mask.name] = (places < np.array(counts)[:, None]).astype(np.float32)
        else:
            masks[mask.name] = (places < mask.count(space, config, arch, 0)).astype(np.float32)
    return masks


def stack_masks(each: list[Masks]) -> Masks:
    """Masks of several sub-networks with a leading axis."""
    return {name: np.stack([m[name] for m in each]) for name in each[0]}


# ---- stages --------------------------------------------------------------------------------------

STAGE_MASKS = tuple((d, mask) for d in STAGE_DIMENSIONS for mask in d.masks)


def stage_masks(space: StagedSpace, widths: tuple[StageWidths, ...], config: StagedSubnet) -> Masks:
    """The masks of a sub-network, float32 of zeros and ones.

    Returns:
      Of stage i "stagei/dim" (dim,), "stagei/gate" (depth,) and, per block, "stagei/heads" (depth,
      heads), "stagei/hidden" (depth, hidden) and "stagei/four_bits" (depth, 1, or 0 where no block
      has 4); heads and hidden units are zeros for convolutions, as are blocks behind the
      sub-network's depth. A stage that is left out has the width of what is before it.
    """
    found: Masks = {}
    stages, stage = iter(space.arch(config).stages), cast(Any, space.first_grid)
    for i, (own, choice, width) in enumerate(zip(space.stages, config.stages, widths, strict=True)):
        if choice.depth:
            stage = next(stages)
        for dimension, mask in STAGE_MASKS:
            places = np.arange(getattr(width, mask.name))
            if mask.per_block:
                counts = np.zeros(width.gate, np.int64)
                if choice.depth and (stage.of_tokens or not dimension.of_attention):
                    counts[: choice.depth] = [
                        mask.count(own, choice, stage, b) for b in range(choice.depth)
                    ]
                value = places < counts[:, None]
            else:
                value = places < mask.count(own, choice, stage, 0)
            found[f"stage{i}/{mask.name}"] = value.astype(np.float32)
    return found
