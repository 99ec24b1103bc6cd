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
from nas.space import SearchSpace, SubnetConfig

Score = Callable[[SubnetConfig], float]
TRIES = 1000  # of a mutation or crossover that stays within the limits and is new


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


def mutate(
    space: SearchSpace, config: SubnetConfig, rng: np.random.Generator, s: EvolutionSettings
) -> SubnetConfig:
    """A neighbour: depth and width seldom, each block's dimensions sometimes drawn again."""
    fresh = space.sample(rng)
    depth = fresh.depth if rng.random() < s.depth_probability else config.depth
    dim = fresh.embed_dim if rng.random() < s.depth_probability else config.embed_dim
    patch = fresh.patch if rng.random() < s.block_probability else config.patch
    ratio = None
    if space.ranks is not None and not space.ranks.per_block:
        again = rng.random() < s.block_probability
        ratio = (fresh if again else config).rank_ratio[0]
    choices = space.block_choices(ratio)
    blocks = []
    for b in range(depth):
        drawn = choices[int(rng.integers(len(choices)))]
        if b >= config.depth:
            blocks.append(drawn)
            continue
        own = config.block(b)
        redrawn = rng.random(3) < s.block_probability
        blocks.append(
            dataclasses.replace(
                own,
                heads=drawn.heads if redrawn[0] else own.heads,
                mlp_ratio=drawn.mlp_ratio if redrawn[1] else own.mlp_ratio,
                rank_ratio=drawn.rank_ratio if redrawn[2] or ratio else own.rank_ratio,
            )
        )
    return space.from_blocks(patch, dim, tuple(blocks))


def cross(
    space: SearchSpace, one: SubnetConfig, two: SubnetConfig, rng: np.random.Generator
) -> SubnetConfig:
    """Each dimension from one of two parents; blocks from a parent that is deep enough."""

    def either() -> SubnetConfig:
        return one if rng.random() < 0.5 else two

    depth, dim, patch, network = (either() for _ in range(4))
    blocks = []
    for b in range(depth.depth):
        able = [p for p in (one, two) if p.depth > b]
        block = able[int(rng.integers(len(able)))].block(b)
        if space.ranks is not None and not space.ranks.per_block:
            block = dataclasses.replace(block, rank_ratio=network.rank_ratio[0])
        blocks.append(block)
    return space.from_blocks(patch.patch, dim.embed_dim, tuple(blocks))


@dataclasses.dataclass(frozen=True)
class _Generation:
    """Makes the networks of one generation."""

    sampler: Sampler
    settings: EvolutionSettings
    parents: list[SubnetConfig]
    rng: np.random.Generator

    def _parent(self) -> SubnetConfig:
        return self.parents[int(self.rng.integers(len(self.parents)))]

    def _mutation(self) -> SubnetConfig:
        return mutate(self.sampler.space, self._parent(), self.rng, self.settings)

    def _crossover(self) -> SubnetConfig:
        return cross(self.sampler.space, self._parent(), self._parent(), self.rng)

    def _random(self) -> SubnetConfig:
        return self.sampler.draw(self.rng)

    def networks(self, known: dict[SubnetConfig, float]) -> list[SubnetConfig]:
        """Mutations, crossovers, and random networks up to the population; new ones that fit."""
        s, found = self.settings, dict[SubnetConfig, None]()
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
) -> list[tuple[SubnetConfig, float]]:
    """Searches; returns every network evaluated with its score, the best first."""
    s = settings or EvolutionSettings()
    scores: dict[SubnetConfig, float] = {}
    for generation in range(s.generations):
        rng = np.random.default_rng((seed, 3, generation))
        best = sorted(scores, key=lambda c: -scores[c])[: s.parents]
        for config in _Generation(sampler, s, best, rng).networks(scores):
            scores[config] = score(config)
    return sorted(scores.items(), key=lambda item: -item[1])
