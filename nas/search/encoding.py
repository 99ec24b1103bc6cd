# SPDX-License-Identifier: Apache-2.0
"""Sub-networks as parameters of an Optuna trial: one for each thing that is chosen.

What a network chooses once has its dimension's `param` as its name, what blocks choose has the
block's number behind it ("heads0"). Every trial has the parameters of the deepest network.
"""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from nas.space import NetworkChoice, SearchSpace, SubnetConfig


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The parameters of a trial; those of blocks beyond the depth have no effect."""
    found: dict[str, BaseDistribution] = {
        d.param: CategoricalDistribution(d.codes(space)) for d in space.network_dimensions
    }
    for b in range(max(space.depth)):
        for d in space.block_dimensions:
            found[f"{d.param}{b}"] = CategoricalDistribution(d.codes(space))
    return found


def config_of(space: SearchSpace, params: dict[str, Any]) -> SubnetConfig:
    """The sub-network of a trial's parameters."""
    values = {d.name: d.decoded(space, params[d.param]) for d in space.network_dimensions}
    depth = values.pop("depth")
    network = NetworkChoice(**values)
    blocks = tuple(
        space.block(
            network,
            {d.name: d.decoded(space, params[f"{d.param}{b}"]) for d in space.block_dimensions},
        )
        for b in range(depth)
    )
    return space.join(network, blocks)


def params_of(space: SearchSpace, config: SubnetConfig) -> dict[str, Any]:
    """The parameters of a sub-network; blocks beyond its depth repeat the last one."""
    params = {d.param: d.encoded(space, d.value(config)) for d in space.network_dimensions}
    for b in range(max(space.depth)):
        block = config.block(min(b, config.depth - 1))
        for d in space.block_dimensions:
            params[f"{d.param}{b}"] = d.encoded(space, getattr(block, d.name))
    return params
