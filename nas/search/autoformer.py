# SPDX-License-Identifier: Apache-2.0
"""The evolutionary search of MCUFormer and AutoFormer, for comparison.

Population 50, the best 10 are parents of 25 mutations and 25 crossovers, 20 generations; the most
accurate network within the limits wins. Unlike the released code the memory limit is one. Every
random choice follows from the seed and the generation, so that a search with stored results goes on
from them alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from nas.cost.sampler import Sampler
from nas.space import Dimension, NetworkChoice, SearchSpace, SubnetConfig
from nas.space.any_space import (
    AnySubnet,
    Searchable,
    expect_choice,
    expect_one_stage,
    expect_stages,
)
from nas.space.staged_space import StagedSpace, StagedSubnet

Score = Callable[[AnySubnet], float]
TRIES = 1000  # of a mutation or crossover that stays within the limits and is new
# Random numbers that a block's mutation and a crossover draw at least: as many as in searches that
# were stored when there were three dimensions of blocks and four of networks.
BLOCK_DRAWS, NETWORK_DRAWS = 3, 4


@dataclasses.dataclass(frozen=True)
class EvolutionSettings:
    """Numbers of AutoFormer's search, MCUFormer's defaults.

    Attributes:
      depth_probability: that a mutation draws another depth or width (s_prob, m_prob released).
      block_probability: that it draws another value of each dimension of each block.
    """

    generations: int = 20
    population: int = 50
    parents: int = 10
    mutations: int = 25
    crossovers: int = 25
    depth_probability: float = 0.4
    block_probability: float = 0.2


def _in_drawing_order(space: SearchSpace) -> list[Dimension]:
    """What a network chooses once, in the order in which stored searches drew random numbers."""
    first = ("depth", "embed_dim", "patch")
    order = {name: place for place, name in enumerate(first)}
    return sorted(space.network_dimensions, key=lambda d: order.get(d.name, len(first)))


def mutate(
    space: Searchable, config: AnySubnet, rng: np.random.Generator, s: EvolutionSettings
) -> AnySubnet:
    """A neighbour: depth and width seldom, each block's dimensions sometimes drawn again."""
    if isinstance(space, StagedSpace):
        return _mutate_stages(space, expect_stages(config), rng, s)
    return _mutate_blocks(expect_one_stage(space, "mutation"), expect_choice(config), rng, s)


def _mutate_blocks(
    space: SearchSpace, config: SubnetConfig, rng: np.random.Generator, s: EvolutionSettings
) -> SubnetConfig:
    fresh, values = space.sample(rng), {}
    for d in _in_drawing_order(space):
        probability = s.depth_probability if d.seldom else s.block_probability
        values[d.name] = d.value(fresh if rng.random() < probability else config)
    depth, chosen = values.pop("depth"), space.block_dimensions
    network, blocks = NetworkChoice(**values), []
    for b in range(depth):
        drawn = space.random_block(network, rng)
        if b < config.depth:
            own = config.block(b)
            again = rng.random(max(BLOCK_DRAWS, len(chosen))) < s.block_probability
            kept = {
                d.name: getattr(own, d.name) for d, a in zip(chosen, again, strict=False) if not a
            }
            drawn = dataclasses.replace(drawn, **kept)
        blocks.append(drawn)
    return space.join(network, tuple(blocks))


def _mutate_stages(
    space: StagedSpace, config: StagedSubnet, rng: np.random.Generator, s: EvolutionSettings
) -> StagedSubnet:
    """The same of each stage: its dimensions are drawn again, or stay."""
    fresh, params = space.to_parameters(space.sample(rng)), space.to_parameters(config)
    seldom = space.seldom_parameters()
    for name in params:
        probability = s.depth_probability if name in seldom else s.block_probability
        if rng.random() < probability:
            params[name] = fresh[name]
    return space.from_parameters(params)


def cross(space: Searchable, one: AnySubnet, two: AnySubnet, rng: np.random.Generator) -> AnySubnet:
    """Each dimension from one of two parents; blocks from a parent that is deep enough."""
    if isinstance(space, StagedSpace):
        parents = [space.to_parameters(expect_stages(each)) for each in (one, two)]
        return space.from_parameters({n: parents[int(rng.integers(2))][n] for n in parents[0]})
    flat = expect_one_stage(space, "crossover")
    return _cross_blocks(flat, expect_choice(one), expect_choice(two), rng)


def _cross_blocks(
    space: SearchSpace, one: SubnetConfig, two: SubnetConfig, rng: np.random.Generator
) -> SubnetConfig:
    chosen = _in_drawing_order(space)
    sources = [one if rng.random() < 0.5 else two for _ in range(max(NETWORK_DRAWS, len(chosen)))]
    values = {d.name: d.value(parent) for d, parent in zip(chosen, sources, strict=False)}
    depth, own = values.pop("depth"), space.block_dimensions
    network, blocks = NetworkChoice(**values), []
    for b in range(depth):
        able = [p for p in (one, two) if p.depth > b]
        block = able[int(rng.integers(len(able)))].block(b)
        blocks.append(space.block(network, {d.name: getattr(block, d.name) for d in own}))
    return space.join(network, tuple(blocks))


@dataclasses.dataclass(frozen=True)
class _Generation:
    """Makes the networks of one generation."""

    sampler: Sampler
    settings: EvolutionSettings
    parents: list[AnySubnet]
    rng: np.random.Generator

    def _parent(self) -> AnySubnet:
        return self.parents[int(self.rng.integers(len(self.parents)))]

    def _mutation(self) -> AnySubnet:
        return mutate(self.sampler.space, self._parent(), self.rng, self.settings)

    def _crossover(self) -> AnySubnet:
        return cross(self.sampler.space, self._parent(), self._parent(), self.rng)

    def _random(self) -> AnySubnet:
        return self.sampler.draw(self.rng)

    def networks(self, known: dict[AnySubnet, float]) -> list[AnySubnet]:
        """Mutations, crossovers, and random networks up to the population; new ones that fit."""
        s, found = self.settings, dict[AnySubnet, None]()
        plan = [self._mutation] * s.mutations + [self._crossover] * s.crossovers
        plan = plan if self.parents else []
        for make in [*plan, *[self._random] * s.population]:
            if len(found) == s.population:
                break
            for _ in range(TRIES):
                config = make()
                if config not in known and config not in found and self.sampler.fits(config):
                    found[config] = None
                    break
        return list(found)


def evolve(
    sampler: Sampler, score: Score, seed: int, settings: EvolutionSettings | None = None
) -> list[tuple[AnySubnet, float]]:
    """Searches; returns every network evaluated with its score, the best first."""
    s = settings or EvolutionSettings()
    scores: dict[AnySubnet, float] = {}
    for generation in range(s.generations):
        rng = np.random.default_rng((seed, 3, generation))
        best = sorted(scores, key=lambda c: -scores[c])[: s.parents]
        for config in _Generation(sampler, s, best, rng).networks(scores):
            scores[config] = score(config)
    return sorted(scores.items(), key=lambda item: -item[1])
