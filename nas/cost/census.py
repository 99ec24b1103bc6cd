# SPDX-License-Identifier: Apache-2.0
"""How much of a space fits a target, and which of its networks is the largest."""

from __future__ import annotations

from nas.cost.census_figures import Census
from nas.cost.exact_census import exact_census
from nas.cost.model import CostModel, NetworkCost
from nas.cost.staged_census import staged_census
from nas.cost.targets import BudgetError
from nas.space.any_space import AnySubnet, Searchable, expect_one_stage
from nas.space.staged_space import StagedSpace


def take_census(space: Searchable, model: CostModel) -> Census:
    """Counts a space under a cost model's target (latency has a bound only: it is an estimate)."""
    if isinstance(space, StagedSpace):
        return staged_census(space, model)
    return exact_census(expect_one_stage(space, "census"), model)


def constant_room(space: Searchable, model: CostModel, config: AnySubnet) -> int | None:
    """What flash leaves for a network's constants; None without a limit."""
    arch = space.arch(config)
    firmware = model.firmware(model.operators(arch), arch)
    return model.target.constant_bytes(firmware)


def check_possible(space: Searchable, model: CostModel) -> Census:
    """The census of a space of which something fits.

    Raises:
      BudgetError: nothing does; the message has the figures of the smallest networks.
    """
    census, target = take_census(space, model), model.target
    if census.fit_both:
        if target.latency_ms is not None and census.least_latency_ms > target.latency_ms:
            raise BudgetError(
                f"no network of {space.name} is as fast as {target.latency_ms:g} ms: the fastest "
                f"is estimated at {census.least_latency_ms:.1f} ms at {target.core_hz:,} Hz"
            )
        return census
    least: NetworkCost = model.cost(space.arch(census.least_sram))
    lightest: NetworkCost = model.cost(space.arch(census.least_flash))
    limited = target.sram_bytes is not None or target.board is not None
    limits = [f"SRAM {target.describe_sram()}"] if limited else []
    room = constant_room(space, model, census.least_flash)
    if room is not None:
        limits.append(f"{room:,} bytes of flash for constants")
    remedy = ""
    if not census.fit_flash and target.external_flash_bytes is None:
        remedy = "; weights in external QSPI flash would lift that limit (--external_flash)"
    raise BudgetError(
        f"no network of {space.name} fits {' and '.join(limits)}: the least SRAM is "
        f"{least.sram_bytes:,} bytes ({least.params:,} parameters), the least constants are "
        f"{lightest.constant_bytes:,} bytes ({lightest.params:,} parameters){remedy}"
    )
