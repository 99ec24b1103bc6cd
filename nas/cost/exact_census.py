# SPDX-License-Identifier: Apache-2.0
"""How much of a space fits a target, and which of its networks is the largest: exact, not sampled.

In a chain of operators the arena is a maximum, so that a network fits if each of its blocks does;
what the firmware needs beside it grows with the depth alone. Constants are a sum, so that dynamic
programming over their 16-byte units counts the networks within a flash limit without listing them.
Spaces of 10^14 networks take seconds.

Code is no sum: a kernel that several blocks call is linked once, one that no block calls not at
all. Networks are therefore counted by what their blocks call together (`_codes`): of blocks with
weights of 4 and of 8 bits there are two such sets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_models.arch import ArchConfig
from nas.cost.census_counts import Largest, Room, count, most_params
from nas.cost.census_figures import Census
from nas.cost.model import CostModel, OpCost
from nas.cost.targets import Firmware
from nas.space import BlockChoice, NetworkChoice, SearchSpace, SubnetConfig
from tflm_custom_ops.ops.schema.writing import BLOB_ALIGNMENT

Functions = frozenset[str]  # C functions that blocks call


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
      functions: of the kernels, per block choice.
      rest_arena_bytes, rest_bytes, rest_params: patch embedding, stem and tail.
    """

    arena_bytes: NDArray[np.int64]
    units: NDArray[np.int64]
    params: NDArray[np.int64]
    functions: tuple[Functions, ...]
    rest_arena_bytes: int
    rest_bytes: int
    rest_params: int


def _figures(model: CostModel, family: Family) -> _Blocks:
    arena, units, params, functions = [], [], [], []
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
        functions.append(frozenset(f for op in block for f in op.call.functions))
        others = [op for op in ops if op not in block]
        rest_arena = max(op.smallest_bytes for op in others)
        rest_bytes = sum(op.constant_bytes for op in ops) - constant
        rest_params = arch.params - block_params
    return _Blocks(
        np.array(arena), np.array(units), np.array(params), tuple(functions),
        rest_arena, rest_bytes, rest_params,
    )  # fmt: skip


def exact_census(space: SearchSpace, model: CostModel) -> Census:
    fastest = np.inf
    sram = flash = both = 0
    largest: tuple[int, SubnetConfig] | None = None
    least_sram: tuple[tuple[int, int], SubnetConfig] | None = None
    least_flash: tuple[int, SubnetConfig] | None = None
    for family in families(space):
        found, choices = _figures(model, family), tuple(c for c, _ in family.blocks)
        groups = _fitting(model, family, found, space.depth)
        codes = _codes(model, family, found, space.depth)

        def config(indices: list[int], of: Family = family, from_: Any = choices) -> SubnetConfig:
            return space.join(of.network, tuple(from_[i] for i in indices))

        fastest = min(fastest, _least_latency_ms(model, family, found, space.depth[0]))
        flash += sum(_count(found, code, codes) for code in codes)
        for fitting, depths in groups:
            sram += sum(len(fitting) ** depth for depth in depths)
            allowed = tuple(code.within(fitting, depths) for code in codes)
            both += sum(_count(found, code, allowed) for code in allowed)
            best = _largest(found, allowed)
            if best and (largest is None or best.params > largest[0]):
                largest = (best.params, config(best.choices))
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


def _firmware(
    model: CostModel, family: Family, depth: int, functions: Functions | None = None
) -> Firmware:
    """What surrounds a family's networks of a depth.

    Args:
      functions: kernels that the blocks call together; None for those of the first choice, where
        code does not matter.
    """
    arch = family.blocks[0][1]
    ops = model.operators(arch)
    block: tuple[OpCost, ...] = model.block(arch, 0)
    first = ops.index(block[0])
    if functions is not None:
        block = tuple(_calling(op, functions) for op in block)
    return model.firmware((*ops[:first], *(block * depth), *ops[first + len(block) :]), arch)


def _calling(op: OpCost, functions: Functions) -> OpCost:
    call = dataclasses.replace(op.call, functions=tuple(sorted(functions)))
    return dataclasses.replace(op, call=call)


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


@dataclasses.dataclass(frozen=True, eq=False)
class _Code:
    """Networks whose blocks call these kernels and no others.

    Attributes:
      functions: of all blocks together.
      blocks: the block choices that call none beside them.
      rooms: what flash has beside that code, by depth.
    """

    functions: Functions
    blocks: NDArray[np.int64]
    rooms: tuple[Room, ...]

    def within(self, blocks: NDArray[np.int64], depths: tuple[int, ...]) -> _Code:
        """Of these block choices and depths alone."""
        rooms = tuple(room for room in self.rooms if room.depth in depths)
        return _Code(self.functions, np.intersect1d(self.blocks, blocks), rooms)


def _codes(
    model: CostModel, family: Family, found: _Blocks, depths: tuple[int, ...]
) -> tuple[_Code, ...]:
    """All sets of kernels that blocks of a network may call together."""
    single = set(found.functions)
    together = set(single)
    while larger := {a | b for a in together for b in single} - together:
        together |= larger
    return tuple(
        _Code(
            functions,
            np.array([i for i, f in enumerate(found.functions) if f <= functions], np.int64),
            tuple(_flash_room(model, family, found, depth, functions) for depth in depths),
        )
        for functions in sorted(together, key=sorted)
    )


def _flash_room(
    model: CostModel, family: Family, found: _Blocks, depth: int, functions: Functions
) -> Room:
    """Beside networks of a depth whose blocks call these kernels."""
    limit = model.target.constant_bytes(_firmware(model, family, depth, functions))
    left = None if limit is None else (limit - found.rest_bytes) // BLOB_ALIGNMENT
    return Room(depth, left)


def _count(found: _Blocks, code: _Code, codes: tuple[_Code, ...]) -> int:
    """Networks that call all of a code's kernels, and fit beside it."""
    return _exactly(found.units, code, code.rooms, codes)


def _exactly(
    units: NDArray[np.int64], code: _Code, rooms: tuple[Room, ...], codes: tuple[_Code, ...]
) -> int:
    """Networks that call all of a code's kernels and find room; those that do with fewer are
    counted there."""
    fewer = (other for other in codes if other.functions < code.functions)
    less = sum(_exactly(units, other, rooms, codes) for other in fewer)
    return count(units[code.blocks], rooms) - less


def _largest(found: _Blocks, codes: tuple[_Code, ...]) -> Largest | None:
    """The network with most parameters that fits; None where none does.

    One that calls fewer kernels than a code has still fits beside it.
    """
    each = (most_params(found.units, found.params, c.blocks, c.rooms) for c in codes)
    best = max((b for b in each if b is not None), key=lambda b: b.params, default=None)
    return best and dataclasses.replace(best, params=best.params + found.rest_params)
