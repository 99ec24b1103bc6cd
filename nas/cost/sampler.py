# SPDX-License-Identifier: Apache-2.0
"""Which sub-networks a training step uses: uniform among those that fit the budget.

What step n uses depends on the seed and on n alone, so that a resumed training goes on exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nas.cost.census import check_possible, take_census
from nas.cost.census_figures import Census
from nas.cost.complexity import PROBES, ComplexityLevels
from nas.cost.model import CostModel
from nas.cost.targets import BudgetError
from nas.space.any_space import AnySubnet, Searchable

MAX_DRAWS = 100_000


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Draws sub-networks of a space that fit a cost model's target."""

    space: Searchable
    model: CostModel
    seed: int = 0

    @functools.cached_property
    def census(self) -> Census:
        """What fits.

        Raises:
          BudgetError: nothing.
        """
        return check_possible(self.space, self.model)

    def fits(self, config: AnySubnet) -> bool:
        return self.model.cost(self.space.arch(config)).fits

    def levels(self, count: int) -> ComplexityLevels:
        """Levels of the sizes of random networks that fit."""
        return _levels(self, count)

    def draw(
        self,
        rng: np.random.Generator,
        form: Any = None,
        wanted: Callable[[AnySubnet], bool] | None = None,
    ) -> AnySubnet:
        """A random sub-network that fits, of any form (`SubnetConfig.form`) or of the given one.

        Args:
          wanted: says which others to pass over; it is asked first.

        Raises:
          BudgetError: none was found in 100,000 draws.
        """
        space = self.space if form is None else self.space.of_form(form)
        for _ in range(MAX_DRAWS):
            config = space.sample(rng)
            if (wanted is None or wanted(config)) and self.fits(config):
                return config
        raise BudgetError(
            f"sampling: {MAX_DRAWS} random networks of {self.space.name} are over the budget, "
            f"though {self.census.fit_both} of {self.census.total} fit; raise the limits or give "
            "a space of smaller networks"
        )

    def extremes(self, form: Any) -> tuple[AnySubnet, AnySubnet]:
        """The largest network of a form that fits, and the one with the fewest constants."""
        return _extremes(self.space.of_form(form), self.model)

    def step(self, number: int, sandwich: bool, levels: int | None = None) -> list[AnySubnet]:
        """Sub-networks of training step `number`, all of one form.

        A uniform step has one. The sandwich rule (Yu and Huang, ICCV 2019) has the largest, the
        smallest and two random ones; the largest comes first.

        Args:
          levels: how many levels of complexity there are, of which a step takes one beside the
            last step's (`nas.cost.complexity`); None for any size.
        """
        rng = np.random.default_rng((self.seed, 1, number))
        if levels is None:
            first = self.draw(rng)
        else:
            known = self.levels(levels)
            place = known.level_of_step(number)
            first = self.draw(
                rng, wanted=lambda c: known.level_of(self.space.arch(c).macs) == place
            )
        if not sandwich:
            return [first]
        largest, smallest = self.extremes(first.form)
        return [largest, smallest, first, self.draw(rng, first.form)]

    def panel(self, count: int) -> list[AnySubnet]:
        """Fixed random sub-networks to watch training with."""
        rng = np.random.default_rng((self.seed, 2))
        return [self.draw(rng) for _ in range(count)]


@functools.lru_cache(maxsize=64)
def _levels(sampler: Sampler, count: int) -> ComplexityLevels:
    rng = np.random.default_rng((sampler.seed, 5))
    sizes = [sampler.space.arch(sampler.draw(rng)).macs for _ in range(PROBES)]
    return ComplexityLevels.of_sizes(sizes, count, sampler.seed)


@functools.lru_cache(maxsize=64)
def _extremes(space: Searchable, model: CostModel) -> tuple[AnySubnet, AnySubnet]:
    census = take_census(space, model)
    assert census.largest is not None  # a network of this form was drawn
    smallest = census.least_flash
    if not model.cost(space.arch(smallest)).fits:
        smallest = census.least_sram
    if not model.cost(space.arch(smallest)).fits:
        smallest = census.largest
    return census.largest, smallest
