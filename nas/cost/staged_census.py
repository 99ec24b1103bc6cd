# SPDX-License-Identifier: Apache-2.0
"""How much of a staged space fits a target, from random networks of it.

Blocks of a stage depend on the width of the stage before, so that the exact count of
`nas.cost.exact_census` does not apply; shares are estimates with an interval. Least SRAM and flash
are those of the smallest network of each form. The largest network is the largest that was drawn,
grown choice by choice as long as it fits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from nas.cost.census_figures import Census
from nas.cost.model import CostModel, NetworkCost
from nas.cost.targets import FLASH, SRAM
from nas.space.staged_space import StagedSpace, StagedSubnet

DRAWN = 400
SEED = 5


def _fits_sram(cost: NetworkCost) -> bool:
    return not any(excess.startswith(SRAM) for excess in cost.excess)


def _fits_memory(cost: NetworkCost) -> bool:
    return _fits_sram(cost) and FLASH not in cost.excess


def _larger(space: StagedSpace, config: StagedSubnet) -> Iterator[StagedSubnet]:
    """Networks with one choice that is the next larger one; kinds and windows stay."""
    params, form = space.to_parameters(config), config.form
    for name, choices in space.parameters().items():
        place = choices.index(params[name])
        if place + 1 < len(choices):
            larger = space.from_parameters({**params, name: choices[place + 1]})
            if larger.form == form and larger != config:
                yield larger


def _grown(space: StagedSpace, model: CostModel, config: StagedSubnet) -> StagedSubnet:
    """As large as it gets one choice after another."""
    grows = True
    while grows:
        grows = False
        for larger in _larger(space, config):
            cost, now = (model.cost(space.arch(c)) for c in (larger, config))
            if _fits_memory(cost) and cost.params > now.params:
                config, grows = larger, True
                break
    return config


@functools.lru_cache(maxsize=64)
def staged_census(space: StagedSpace, model: CostModel, drawn: int = DRAWN) -> Census:
    """What fits, estimated from `drawn` random networks; the same ones every time."""
    rng = np.random.default_rng(SEED)
    configs = [space.sample(rng) for _ in range(drawn)]
    smallest = [space.smallest(form) for form in space.forms()]
    costs = {c: model.cost(space.arch(c)) for c in (*configs, *smallest)}
    fitting = [c for c, cost in costs.items() if _fits_memory(cost)]
    largest = max(fitting, key=lambda c: costs[c].params, default=None)

    def share(fits: object) -> int:
        count = sum(map(fits, (costs[c] for c in configs)))  # type: ignore[call-overload]
        if count == 0:  # none was drawn, but there may be one
            return int(any(map(fits, costs.values())))  # type: ignore[call-overload]
        return int(count) * space.size // drawn

    return Census(
        total=space.size,
        fit_sram=share(_fits_sram),
        fit_flash=share(lambda cost: FLASH not in cost.excess),
        fit_both=share(_fits_memory),
        largest=None if largest is None else _grown(space, model, largest),
        least_sram=min(smallest, key=lambda c: (costs[c].sram_bytes, costs[c].constant_bytes)),
        least_flash=min(smallest, key=lambda c: costs[c].constant_bytes),
        least_latency_ms=min(costs[c].latency_ms for c in smallest),
        drawn=drawn,
    )
