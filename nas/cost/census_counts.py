# SPDX-License-Identifier: Apache-2.0
"""Sequences of blocks whose constants find room: how many, and which has most parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Room:
    """16-byte units that flash has for the blocks of networks of a depth, beside their code;
    negative if not even the rest fits, None without a limit."""

    depth: int
    units: int | None


def count(units: Ints, rooms: tuple[Room, ...]) -> int:
    """Sequences of block choices, of those depths, whose units find room."""
    n = len(units)
    if n == 0:
        return 0
    total, cut = 0, {}
    for room in rooms:
        if room.units is None or 0 <= room.depth * int(units.max()) <= room.units:
            total += int(n**room.depth)
        elif room.depth * int(units.min()) <= room.units:
            cut[room.depth] = room.units
    if not cut:
        return total
    kind: Any = np.int64 if max(cut) * np.log2(n) < 62 else object
    ways = np.zeros(max(cut.values()) + 1, kind)
    ways[0] = 1
    for depth in range(1, max(cut) + 1):
        ways = _spread(ways, units, lambda to, gained: to + gained)
        if depth in cut:
            total += int(ways[: cut[depth] + 1].sum())
    return total


def _spread(
    values: NDArray[Any], units: Ints, join: Callable[[Any, Any], Any], fill: int = 0
) -> NDArray[Any]:
    """values[s - u] joined into position s, for every u of `units`."""
    result = np.full_like(values, fill)
    for u in units:
        if u < len(values):
            result[u:] = join(result[u:], values[: len(values) - u])
    return result


@dataclasses.dataclass(frozen=True)
class Largest:
    """Parameters of the blocks of a network, and their choices."""

    params: int
    choices: list[int]


def most_params(
    units: Ints, params: Ints, fitting: Ints, rooms: tuple[Room, ...]
) -> Largest | None:
    """The largest network of the fitting choices that finds room, or None.

    Args:
      units, params: of every block choice.
      fitting: the choices to take.
    """
    if len(fitting) == 0 or not rooms:
        return None
    deepest = max(rooms, key=lambda room: room.depth)
    heaviest, depth = int(fitting[np.argmax(params[fitting])]), deepest.depth
    if deepest.units is None or depth * int(units[heaviest]) <= deepest.units:
        return Largest(depth * int(params[heaviest]), [heaviest] * depth)
    sizes = {room.depth: room.units for room in rooms if room.units is not None and room.units >= 0}
    if not sizes:
        return None
    tables = _best_params(units, params, fitting, max(sizes.values()), max(sizes))
    most, d = max((int(tables[d][: size + 1].max()), d) for d, size in sizes.items())
    if most < 0:
        return None
    at = int(np.argmax(tables[d][: sizes[d] + 1]))
    return Largest(most, _choices_of(units, params, fitting, tables, d, at))


def _best_params(units: Ints, params: Ints, fitting: Ints, room: int, depth: int) -> list[Ints]:
    """By number of blocks and units: the most parameters, -1 where nothing has so many units."""
    best = np.full(room + 1, -1, np.int64)
    best[0] = 0
    tables = [best]
    for _ in range(depth):
        step = np.full_like(best, -1)
        for i in fitting:
            u = int(units[i])
            if u <= room:
                source = tables[-1][: room + 1 - u]
                gained = np.where(source >= 0, source + params[i], -1)
                step[u:] = np.maximum(step[u:], gained)
        tables.append(step)
    return tables


def _choices_of(
    units: Ints, params: Ints, fitting: Ints, tables: list[Ints], depth: int, at: int
) -> list[int]:
    """Blocks that have the parameters of tables[depth][at]."""
    blocks = []
    for level in range(depth, 0, -1):
        for i in fitting:
            u, gain = int(units[i]), int(params[i])
            before = tables[level - 1][at - u] if u <= at else -1
            if before >= 0 and before + gain == tables[level][at]:
                blocks.append(int(i))
                at -= u
                break
    return blocks
