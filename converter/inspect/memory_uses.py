# SPDX-License-Identifier: Apache-2.0
"""What each memory holds of a model and its firmware, against what it may hold."""

from __future__ import annotations

import dataclasses

from boards import Use
from boards.placement import Filled
from converter.board_fit import BoardFit
from converter.inspect.report import Budgets, ModelReport


@dataclasses.dataclass(frozen=True)
class HeldMemory:
    """One memory.

    Attributes:
      name: of a board's region, or of a budget that was given.
      parts: what it holds, and bytes.
      limit_bytes: None where nothing limits it.
    """

    name: str
    parts: tuple[tuple[str, int], ...]
    limit_bytes: int | None

    @property
    def used_bytes(self) -> int:
        return sum(size for _, size in self.parts)

    @property
    def fits(self) -> bool:
        return self.limit_bytes is None or self.used_bytes <= self.limit_bytes


def memory_uses(found: ModelReport, budgets: Budgets) -> tuple[HeldMemory, ...]:
    """The board's regions, then the budgets that were given; without a board always SRAM and flash.

    Flash without a board is constants and what `--code_bytes` says.
    """
    flash = (("constants", found.constant_bytes), ("code", budgets.code_bytes))
    given = (
        HeldMemory("SRAM", found.sram_parts(budgets), budgets.sram),
        HeldMemory("flash", tuple(part for part in flash if part[1]), budgets.flash),
    )
    if budgets.fit is None:
        return given
    limits = tuple(
        dataclasses.replace(use, name=f"{use.name} budget")
        for use in given
        if use.limit_bytes is not None
    )
    return (*_regions(budgets.fit), *limits)


def _regions(fit: BoardFit) -> tuple[HeldMemory, ...]:
    code = fit.board.place(Use.CODE)
    uses = []
    for region, _ in fit.flash:
        holds = (
            ("code", fit.code_bytes if region == code else 0),
            ("constants", fit.constant_bytes if region == fit.constants_region else 0),
        )
        uses.append(HeldMemory(region.name, tuple(p for p in holds if p[1]), region.size_bytes))
    return (*uses, *(_data_region(filled) for filled in fit.data))


def _data_region(filled: Filled) -> HeldMemory:
    """A region of data memory, with what the linker leaves between the parts."""
    parts = [(part.use.value, part.size_bytes) for part in filled.parts]
    gaps = filled.used_bytes - sum(size for _, size in parts)
    if gaps:
        parts.append(("alignment", gaps))
    return HeldMemory(filled.region.name, tuple(parts), filled.region.size_bytes)
