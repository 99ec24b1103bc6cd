# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a board, before it is trained: SRAM, flash and an estimate of latency.

The figures are those of the project's own scheduler and planner on the fused operators of the
architecture (`converter.plan.weightless`); none is fitted or approximated except latency. A ViT is
a chain of operators that overwrite their input, so that its arena is the largest of its operators'
needs and an operator's schedule depends on the arena's limit alone. Every operator is therefore
evaluated once and remembered; a network is then a maximum and a few sums. One of stages is no such
chain (its tokens move where patches are merged over them), so that its arena is placed by the
planner. Tests compare with the planner on random networks, and with real converted ones.

SRAM is arena + streaming state + stack + static data (`converter.footprint`). Flash is the
constants that any runtime reads (weights, biases, multipliers, tables) and, in internal flash,
code. Latency is that of the schedules' instructions and weight traffic (`converter.schedule`) on
the board's core and memory (`converter.latency`), as the benchmark prints it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from converter.latency import Reads, cycles_per_instruction, estimate
from converter.plan.model import PACKING_ATTEMPTS
from keras_models.arch import ArchConfig
from keras_models.staged import Architecture
from nas.cost.operators import (
    OpCost,
    ScheduleChoice,
    all_operators,
    attention_cost,
    ends_of,
    mlp_cost,
    placed_bytes,
    takes_rows,
    tokens_are_first,
)
from nas.cost.targets import FLASH, LATENCY, Firmware, Target


@dataclasses.dataclass(frozen=True)
class NetworkCost:
    """What a network costs on a target.

    Attributes:
      arena_bytes: as planned, for the target's SRAM; if that is too small, the smallest possible.
      sram_bytes: arena, streaming state, stack and static data.
      constant_bytes: weights and tables.
      flash_bytes: what the target's limit is compared with: constants, and code where both are in
        internal flash.
      instructions, latency_ms: estimates; infinite where the arena does not fit.
      peak: operator that needs most of the arena.
      params, macs: of the architecture.
      excess: what is over its limit, e.g. ("SRAM",), with the region of a board that overflows;
        empty if the network fits.
    """

    arena_bytes: int
    sram_bytes: int
    constant_bytes: int
    flash_bytes: int
    instructions: float
    latency_ms: float
    peak: str
    params: int
    macs: int
    excess: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.excess

    def describe(self) -> str:
        """One line of figures; no time of what does not fit."""
        memory = [excess for excess in self.excess if excess != LATENCY]
        time = f"{self.latency_ms:.1f} ms (estimate)"
        if memory:
            time = f"no estimate of its latency: {' and '.join(memory)} exceeded"
        return (
            f"{self.params:,} parameters, SRAM {self.sram_bytes:,} bytes (arena "
            f"{self.arena_bytes:,}), flash {self.flash_bytes:,} bytes, {time}"
        )


@dataclasses.dataclass(frozen=True)
class CostModel:
    """Costs of networks on one target.

    Attributes:
      streamed: the image arrives in rows (networks with a stem have no streamed form and are
        always planned with the image in the arena).
      residual_bits: of the residual stream, 8 or 16.
    """

    target: Target
    streamed: bool = True
    residual_bits: int = 8

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {
            "target": self.target.to_dict(),
            "streamed": self.streamed,
            "residual_bits": self.residual_bits,
        }

    def operators(self, arch: Architecture) -> tuple[OpCost, ...]:
        """All operators of a network, of one stage from the remembered parts."""
        if not isinstance(arch, ArchConfig):
            return all_operators(arch, self.is_streamed(arch), self.residual_bits)
        ends = ends_of(arch, self.is_streamed(arch), self.residual_bits)
        blocks: list[OpCost] = []
        for b in range(arch.depth):
            blocks += self.block(arch, b)
        return (*ends[0], *blocks, *ends[1])

    def firmware(self, ops: tuple[OpCost, ...], arch: Architecture) -> Firmware:
        """What surrounds a network of these operators."""
        row_bytes = arch.image_size * arch.channels
        return Firmware(tuple(op.call for op in ops), row_bytes, self.is_streamed(arch))

    def is_streamed(self, arch: Architecture) -> bool:
        """Whether the image arrives in rows: asked for, and the network can take them."""
        return self.streamed and takes_rows(arch)

    def block(self, arch: ArchConfig, block: int) -> tuple[OpCost, OpCost]:
        """Attention and MLP of one block."""
        found, bits = arch.block(block), self.residual_bits
        return attention_cost(found, arch.attention, bits), mlp_cost(found, bits)

    def cost(self, arch: Architecture) -> NetworkCost:
        """The cost of a network."""
        return self.total(self.operators(arch), arch)

    def latency_ms(
        self, schedules: Iterable[ScheduleChoice], external: bool, arena: Reads | None = None
    ) -> float:
        """Estimated latency of operators that run with these schedules, one after another.

        Args:
          external: the weights lie in external flash.
          arena: what is read of the arena past the cache; None for nothing.
        """
        chosen, target = list(schedules), self.target
        core = target.core.name
        cycles = sum(s.instructions * cycles_per_instruction(core, s.operator) for s in chosen)
        traffic = sum(s.weight_bytes for s in chosen)
        reads = [Reads(target.weights_region(external), traffic)]
        if arena is not None:
            reads.append(arena)
        return estimate(cycles, target.core_hz, reads).high_ms

    def _arena_reads(
        self, ops: tuple[OpCost, ...], used: list[ScheduleChoice], arena: int, arch: Architecture
    ) -> Reads | None:
        """What operators read of the arena past the data cache."""
        memory = self.target.arena_memory(self.firmware(ops, arch), arena)
        if memory.cache is None or arena <= memory.fast_bytes:
            return None
        image = 0 if self.is_streamed(arch) else arch.image_size**2 * arch.channels
        low = tokens_are_first(ops, used, arena, image)
        fills = 0.0
        for op, s, is_low in zip(ops, used, low, strict=True):
            scratch_at, tokens_at = (op.base_bytes, 0) if is_low else (0, arena - op.base_bytes)
            fills += s.fills(scratch_at, tokens_at, op.base_bytes, memory)
        return Reads(memory.region, fills * memory.cache.line_bytes)

    def _scheduled(
        self, ops: tuple[OpCost, ...], arch: Architecture, limit: int, enforced: bool
    ) -> tuple[list[ScheduleChoice], int] | None:
        """Schedules within a limit, and the arena that they take; None if none fit.

        Where stages leave holes, schedules are chosen again as `plan_graph` does.
        """
        left = limit
        for _ in range(PACKING_ATTEMPTS):
            used = [s for s in (op.best(left) for op in ops) if s is not None]
            if len(used) < len(ops):
                return None
            arena = max(op.base_bytes + s.scratch_bytes for op, s in zip(ops, used, strict=True))
            if not isinstance(arch, ArchConfig):
                scheduled = tuple(s.op for s in used)
                arena = placed_bytes(arch, self.is_streamed(arch), self.residual_bits, scheduled)
            if arena <= limit or not enforced:
                return used, arena
            left -= arena - limit
        return None

    def total(self, ops: tuple[OpCost, ...], arch: Architecture) -> NetworkCost:
        """The cost of a chain of operators."""
        target, firmware = self.target, self.firmware(ops, arch)
        limit = target.arena_bytes(firmware)
        peak = max(ops, key=lambda op: op.smallest_bytes)
        unlimited = limit is None
        if limit is None:
            limit = max(op.good_bytes for op in ops)
        found = self._scheduled(ops, arch, limit, not unlimited)
        constants = sum(op.constant_bytes for op in ops)
        external = target.is_external(constants)
        excess = []
        if found is None:
            assert not unlimited
            arena, count, latency = peak.smallest_bytes, np.inf, np.inf
            excess.append(target.excess(firmware, arena))
        else:
            used, arena = found
            needs = [op.base_bytes + s.scratch_bytes for op, s in zip(ops, used, strict=True)]
            peak = ops[needs.index(max(needs))]
            # A convolution has what this network's arena leaves, not what the limit would.
            used = [
                op.best(arena) or s if op.convolution else s
                for op, s in zip(ops, used, strict=True)
            ]
            count = sum(s.instructions for s in used)
            reads = self._arena_reads(ops, used, arena, arch)
            latency = self.latency_ms(used, external, reads)
        room = target.constant_bytes(firmware)
        if room is not None and constants > room:
            excess.append(FLASH)
        if target.latency_ms is not None and latency > target.latency_ms:
            excess.append(LATENCY)
        return NetworkCost(
            arena_bytes=arena,
            sram_bytes=arena + target.overhead_bytes(firmware),
            constant_bytes=constants,
            flash_bytes=constants if external else constants + target.code_bytes(firmware),
            instructions=float(count),
            latency_ms=latency,
            peak=peak.name,
            params=arch.params,
            macs=arch.macs,
            excess=tuple(excess),
        )


__all__ = ["CostModel", "NetworkCost", "OpCost"]
