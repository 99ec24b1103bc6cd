# SPDX-License-Identifier: Apache-2.0
"""Which sub-networks a training step uses: uniform among those that fit the budget.

What step n uses depends on the seed and on n alone, so that a resumed training goes on exactly.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from nas.cost.census import check_possible, take_census
from nas.cost.census_figures import Census
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

    def draw(self, rng: np.random.Generator, form: Any = None) -> AnySubnet:
        """A random sub-network that fits, of any form (`SubnetConfig.form`) or of the given one.

        Raises:
          BudgetError: none was found in 100,000 draws.
        """
        space = self.space if form is None else self.space.of_form(form)
        for _ in range(MAX_DRAWS):
            config = space.sample(rng)
            if self.fits(config):
                return config
        raise BudgetError(
            f"sampling: {MAX_DRAWS} random networks of {self.space.name} are over the budget, "
            f"though {self.census.fit_both} of {self.census.total} fit; raise the limits or give "
            "a space of smaller networks"
        )

    def extremes(self, form: Any) -> tuple[AnySubnet, AnySubnet]:
        """The largest network of a form that fits, and the one with the fewest constants."""
        return _extremes(self.space.of_form(form), self.model)

    def step(self, number: int, sandwich: bool) -> list[AnySubnet]:
        """Sub-networks of training step `number`, all of one form.

        A uniform step has one. The sandwich rule (Yu and Huang, ICCV 2019) has the largest, the
        smallest and two random ones; the largest comes first.
        """
        rng = np.random.default_rng((self.seed, 1, number))
        first = self.draw(rng)
        if not sandwich:
            return [first]
        largest, smallest = self.extremes(first.form)
        return [largest, smallest, first, self.draw(rng, first.form)]

    def panel(self, count: int) -> list[AnySubnet]:
        """Fixed random sub-networks to watch training with."""
        rng = np.random.default_rng((self.seed, 2))
        return [self.draw(rng) for _ in range(count)]


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
