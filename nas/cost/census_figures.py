# SPDX-License-Identifier: Apache-2.0
"""What a census finds."""

from __future__ import annotations

import dataclasses
import math

from nas.space.any_space import AnySubnet


@dataclasses.dataclass(frozen=True)
class Census:
    """What fits, exactly.

    Attributes:
      total: networks of the space.
      fit_sram, fit_flash, fit_both: networks within each limit, and within both.
      largest: the network with most parameters within both limits, None if none fits.
      least_sram, least_flash: the networks that need least of each.
      least_latency_ms: no network within the SRAM limit is estimated to be faster; infinite if
        there is none.
      drawn: random networks from which the counts are estimated; 0 where they are exact.
    """

    total: int
    fit_sram: int
    fit_flash: int
    fit_both: int
    largest: AnySubnet | None
    least_sram: AnySubnet
    least_flash: AnySubnet
    least_latency_ms: float
    drawn: int = 0

    @property
    def interval(self) -> float:
        """Half the width of the 95 % interval of `fit_both`'s share; 0 where it is exact."""
        if not self.drawn:
            return 0.0
        share = self.fit_both / self.total
        return 1.96 * math.sqrt(share * (1 - share) / self.drawn) + 0.5 / self.drawn
