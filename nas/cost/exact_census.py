# SPDX-License-Identifier: Apache-2.0
"""How much of a space fits a target, and which of its networks is the largest: exact, not sampled.

In a chain of operators the arena is a maximum, so that a network fits if each of its blocks does;
what the firmware needs beside it grows with the depth alone. Constants are a sum, so that dynamic
programming over their 16-byte units counts the networks within a flash limit without listing them.
Spaces of 10^14 networks take seconds.

One bound: code is that of a family's first block. Where a space has blocks of 4 and of 8 bits their
kernels differ by some hundred bytes, so that flash's share is near, not exact, at the limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ArchConfig
from nas.cost.census_figures import Census
from nas.cost.model import CostModel
from nas.cost.targets import Firmware
from nas.space import BlockChoice, NetworkChoice, SearchSpace, SubnetConfig
from tflm_custom_ops.ops.schema.writing import BLOB_ALIGNMENT


@dataclasses.dataclass(frozen=True)
class Family:
    """The networks of a space that differ in their depth and their blocks only.

    Attributes:
      network: what they share: patch embedding, width and (network's) rank ratio.
      blocks: every choice of a block, with the ArchConfig of a network of that block alone.
    """

    network: NetworkChoice
    blocks: tuple[tuple[BlockChoice, ArchConfig], ...]


def families(space: SearchSpace) -> Iterator[Family]:
    """All families, in a fixed order."""
    for network in space.networks():
        blocks = tuple(
            (choice, space.arch(space.join(network, (choice,))))
            for choice in space.block_choices(network)
        )
        yield Family(network, blocks)


@dataclasses.dataclass(frozen=True)
class _Blocks:
    """Figures of a family's blocks and of the rest of its networks.

    Attributes:
      arena_bytes: of the smallest schedule, per block choice.
      units: constants in units of 16 bytes, per block choice.
      params: per block choice.
      rest_arena_bytes, rest_bytes, rest_params: patch embedding, stem and tail.
    """

    arena_bytes: NDArray[np.int64]
    units: NDArray[np.int64]
    params: NDArray[np.int64]
    rest_arena_bytes: int
    rest_bytes: int
    rest_params: int


def _figures(model: CostModel, family: Family) -> _Blocks:
    arena, units, params = [], [], []
    rest_arena = rest_bytes = rest_params = 0
    for _, arch in family.blocks:
        ops = model.operators(arch)
        block = model.block(arch, 0)
        block_params = arch.block(0).params(arch.attention == "packed")
        arena.append(max(op.smallest_bytes for op in block))
        constant = sum(op.constant_bytes for op in block)
        assert constant % BLOB_ALIGNMENT == 0
        units.append(constant // BLOB_ALIGNMENT)
        params.append(block_params)
        others = [op for op in ops if op not in block]
        rest_arena = max(op.smallest_bytes for op in others)
        rest_bytes = sum(op.constant_bytes for op in ops) - constant
        rest_params = arch.params - block_params
    return _Blocks(
        np.array(arena), np.array(units), np.array(params), rest_arena, rest_bytes, rest_params
    )


def exact_census(space: SearchSpace, model: CostModel) -> Census:
    fastest = np.inf
    sram = flash = both = 0
    largest: tuple[int, SubnetConfig] | None = None
    least_sram: tuple[tuple[int, int], SubnetConfig] | None = None
    least_flash: tuple[int, SubnetConfig] | None = None
    for family in families(space):
        found, choices = _figures(model, family), tuple(c for c, _ in family.blocks)
        groups = _fitting(model, family, found, space.depth)

        def config(indices: list[int], of: Family = family, from_: Any = choices) -> SubnetConfig:
            return space.join(of.network, tuple(from_[i] for i in indices))

        fastest = min(fastest, _least_latency_ms(model, family, found, space.depth[0]))
        rooms = _flash_rooms(model, family, found, space.depth)
        flash += _count(found.units, rooms)
        for fitting, depths in groups:
            sram += sum(len(fitting) ** depth for depth in depths)
            allowed = tuple(room for room in rooms if room.depth in depths)
            both += _count(found.units[fitting], allowed)
            best = _most_params(found, fitting, allowed)
            if best and (largest is None or best[0] > largest[0]):
                largest = (best[0], config(best[1]))
        shallow = space.depth[0]
        i = int(np.lexsort((found.units, found.arena_bytes))[0])
        arena = max(int(found.arena_bytes[i]), found.rest_arena_bytes)
        needs = arena + model.target.overhead_bytes(_firmware(model, family, shallow))
        key = (needs, int(found.units[i]))
        if least_sram is None or key < least_sram[0]:
            least_sram = (key, config([i] * shallow))
        i = int(np.argmin(found.units))
        constants = shallow * int(found.units[i]) * BLOB_ALIGNMENT + found.rest_bytes
        if least_flash is None or constants < least_flash[0]:
            least_flash = (constants, config([i] * shallow))
    assert least_sram is not None
    assert least_flash is not None
    return Census(
        space.size,
        sram,
        flash,
        both,
        largest and largest[1],
        least_sram[1],
        least_flash[1],
        float(fastest),
    )


def _firmware(model: CostModel, family: Family, depth: int) -> Firmware:
    """What surrounds a family's networks of a depth."""
    arch = family.blocks[0][1]
    ops, block = model.operators(arch), model.block(arch, 0)
    first = ops.index(block[0])
    return model.firmware((*ops[:first], *(block * depth), *ops[first + len(block) :]), arch)


def _fitting(
    model: CostModel, family: Family, found: _Blocks, depths: tuple[int, ...]
) -> list[tuple[NDArray[np.int64], tuple[int, ...]]]:
    """Block choices that fit SRAM, with the depths for which they are the same."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for depth in depths:
        limit = model.target.arena_bytes(_firmware(model, family, depth))
        every = np.arange(len(family.blocks))
        if limit is not None:
            every = every[(found.arena_bytes <= limit) & (found.rest_arena_bytes <= limit)]
        groups.setdefault(tuple(int(i) for i in every), []).append(depth)
    return [(np.array(fit, np.int64), tuple(of)) for fit, of in groups.items()]


def _least_latency_ms(model: CostModel, family: Family, found: _Blocks, depth: int) -> float:
    """Of the shallowest network of a family, each operator with its fastest schedule."""
    limit = model.target.arena_bytes(_firmware(model, family, depth))
    least_constants = found.rest_bytes + depth * int(found.units.min()) * BLOB_ALIGNMENT
    external = model.target.is_external(least_constants)
    most = limit if limit is not None else 1 << 62
    blocks, rest = [np.inf], np.inf
    for _, arch in family.blocks:
        block = model.block(arch, 0)
        ops = [op for op in model.operators(arch) if op not in block]
        chosen, others = ([op.best(most) for op in part] for part in (block, ops))
        if all(chosen) and all(others):
            blocks.append(model.latency_ms((s for s in chosen if s), external))
            rest = model.latency_ms((s for s in others if s), external)
    return float(rest + depth * min(blocks))


@dataclasses.dataclass(frozen=True)
class _Room:
    """16-byte units that flash has for the blocks of networks of a depth, beside their code;
    negative if not even the rest fits, None without a limit."""

    depth: int
    units: int | None


def _flash_rooms(
    model: CostModel, family: Family, found: _Blocks, depths: tuple[int, ...]
) -> tuple[_Room, ...]:
    """Of each depth."""
    rooms = []
    for depth in depths:
        limit = model.target.constant_bytes(_firmware(model, family, depth))
        left = None if limit is None else (limit - found.rest_bytes) // BLOB_ALIGNMENT
        rooms.append(_Room(depth, left))
    return tuple(rooms)


def _count(units: NDArray[np.int64], rooms: tuple[_Room, ...]) -> int:
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
    values: NDArray[Any], units: NDArray[np.int64], join: Callable[[Any, Any], Any], fill: int = 0
) -> NDArray[Any]:
    """values[s - u] joined into position s, for every u of `units`."""
    result = np.full_like(values, fill)
    for u in units:
        if u < len(values):
            result[u:] = join(result[u:], values[: len(values) - u])
    return result


def _most_params(
    found: _Blocks, fitting: NDArray[np.int64], rooms: tuple[_Room, ...]
) -> tuple[int, list[int]] | None:
    """(parameters, block choices) of the largest network that finds room, or None."""
    if len(fitting) == 0 or not rooms:
        return None
    deepest = max(rooms, key=lambda room: room.depth)
    heaviest, depth = int(fitting[np.argmax(found.params[fitting])]), deepest.depth
    if deepest.units is None or depth * int(found.units[heaviest]) <= deepest.units:
        return depth * int(found.params[heaviest]) + found.rest_params, [heaviest] * depth
    sizes = {room.depth: room.units for room in rooms if room.units is not None and room.units >= 0}
    if not sizes:
        return None
    tables = _best_params(found, fitting, max(sizes.values()), max(sizes))
    params, d = max((int(tables[d][: size + 1].max()), d) for d, size in sizes.items())
    if params < 0:
        return None
    at = int(np.argmax(tables[d][: sizes[d] + 1]))
    return params + found.rest_params, _choices_of(found, fitting, tables, d, at)


def _best_params(
    found: _Blocks, fitting: NDArray[np.int64], room: int, depth: int
) -> list[NDArray[np.int64]]:
    """By number of blocks and units: the most parameters, -1 where nothing has so many units."""
    best = np.full(room + 1, -1, np.int64)
    best[0] = 0
    tables = [best]
    for _ in range(depth):
        step = np.full_like(best, -1)
        for i in fitting:
            u = int(found.units[i])
            if u <= room:
                source = tables[-1][: room + 1 - u]
                gained = np.where(source >= 0, source + found.params[i], -1)
                step[u:] = np.maximum(step[u:], gained)
        tables.append(step)
    return tables


def _choices_of(
    found: _Blocks, fitting: NDArray[np.int64], tables: list[NDArray[np.int64]], depth: int, at: int
) -> list[int]:
    """Blocks that have the parameters of tables[depth][at]."""
    blocks = []
    for level in range(depth, 0, -1):
        for i in fitting:
            u, gain = int(found.units[i]), int(found.params[i])
            before = tables[level - 1][at - u] if u <= at else -1
            if before >= 0 and before + gain == tables[level][at]:
                blocks.append(int(i))
                at -= u
                break
    return blocks
