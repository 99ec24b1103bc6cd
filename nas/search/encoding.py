# SPDX-License-Identifier: Apache-2.0
"""Sub-networks as parameters of an Optuna trial: one for each thing that is chosen.

What a network chooses once has its dimension's `param` as its name, what blocks choose has the
block's number behind it ("heads0"), what a stage chooses the stage before it ("stage1_width").
Every trial has the parameters of the deepest network; those of blocks beyond the depth have no
effect.
"""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from nas.space.any_space import AnySubnet, Searchable


def distributions(space: Searchable) -> dict[str, BaseDistribution]:
    """The parameters of a trial."""
    return {name: CategoricalDistribution(codes) for name, codes in space.parameters().items()}


def config_of(space: Searchable, params: dict[str, Any]) -> AnySubnet:
    """The sub-network of a trial's parameters."""
    return space.from_parameters(params)


def params_of(space: Searchable, config: AnySubnet) -> dict[str, Any]:
    """The parameters of a sub-network."""
    return space.to_parameters(config)
