# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a board, before it is trained: SRAM, flash and an estimate of latency.

The figures are those of the project's own scheduler and planner on the fused operators of the
architecture (`converter.plan.weightless`); none is fitted or approximated except latency. A ViT is
a chain of operators that overwrite their input, so that its arena is the largest of its operators'
needs and an operator's schedule depends on the arena's limit alone. Every operator is therefore
evaluated once and remembered; a network is then a maximum and a few sums. Tests compare with the
planner on random networks, and with real converted ones.

SRAM is arena + streaming state + stack + static data (`converter.footprint`). Flash is the
constants that any runtime reads (weights, biases, multipliers, tables) and, in internal flash,
code. Latency is that of the schedules' instructions and weight traffic (`converter.schedule`) on
the board's core and memory (`converter.latency`), as the benchmark prints it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from converter.code_size import ModelCall
from converter.compile.builtin import convolution_constant_bytes
from converter.compile.used import convolution_call, fused_call
from converter.latency import Reads, cycles_per_instruction, estimate
from converter.plan.budget import base_bytes, padded
from converter.plan.fills import ArenaMemory, buffer_fills, stream_fills, token_reads
from converter.plan.weightless import weightless_graph
from converter.schedule import Candidate, candidates, has_good_tile
from keras_models.arch import ArchConfig, BlockRanks
from nas.cost.targets import FLASH, LATENCY, Firmware, Target
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.ops import Params, operator_of
from tflm_custom_ops.ops.streams import Stream

CONVOLUTION = "CONV_2D"
ATTENTION, MLP = "VitAttention", "VitMlp"  # of a block
TAIL = 2  # operators behind the last block: LayerNorm and head


@dataclasses.dataclass(frozen=True)
class ScheduleChoice:
    """One schedule of a kind of operator, e.g. "VitMlp": bytes of scratch in the arena, and what a
    run costs; ``op`` is the operator so scheduled, None for a convolution."""

    operator: str
    scratch_bytes: int
    instructions: float
    weight_bytes: int
    good: bool
    op: Params | None = None

    @functools.cached_property
    def _reads(self) -> tuple[tuple[Stream, ...], float]:
        """Streams of its scratch, and bytes of the tensors that it fetches. Of the schedules that
        are compared few are chosen, and only theirs are asked for."""
        if self.op is None:
            return (), 0.0
        operator = operator_of(self.op)
        return operator.streams, token_reads(operator, operator.accesses.inputs[0])

    def fills(self, scratch_at: int, tokens_at: int, size: int, memory: ArenaMemory) -> float:
        """Line fills of the arena, with its scratch and ``size`` bytes of tensors there."""
        streams, tokens = self._reads
        streamed = stream_fills(streams, scratch_at, memory)
        return streamed + buffer_fills(tokens_at, size, tokens, memory)


def _choice(name: str, candidate: Candidate) -> ScheduleChoice:
    op, cost = candidate.op, candidate.cost
    return ScheduleChoice(
        name, padded(candidate), cost.instructions, cost.weight_bytes, has_good_tile(op), op
    )


@dataclasses.dataclass(frozen=True)
class OpCost:
    """An operator in its graph.

    Attributes:
      name: e.g. "VitMlp".
      base_bytes: of tensors, and the image, that live while it runs.
      constant_bytes: of its weights, biases, multipliers and tables.
      schedules: to choose from, best first; empty for a convolution.
      convolution: of a stem; it takes as scratch what the arena has left (converter.compile).
      call: what the firmware has of it.
    """

    name: str
    base_bytes: int
    constant_bytes: int
    schedules: tuple[ScheduleChoice, ...]
    call: ModelCall
    convolution: StemConvolution | None = None

    @property
    def smallest_bytes(self) -> int:
        """Arena with the smallest schedule."""
        return self.base_bytes + min((s.scratch_bytes for s in self.schedules), default=0)

    @property
    def good_bytes(self) -> int:
        """Arena with the smallest schedule that reads weights seldom."""
        return self.base_bytes + min((s.scratch_bytes for s in self.schedules if s.good), default=0)

    def best(self, limit: int) -> ScheduleChoice | None:
        """The fastest schedule within an arena of `limit` bytes; None if none fits."""
        left = limit - self.base_bytes
        if self.convolution is not None:
            return _convolution_schedule(self.convolution, left) if left >= 0 else None
        return next((s for s in self.schedules if s.scratch_bytes <= left), None)


@functools.cache
def _convolution_schedule(convolution: StemConvolution, scratch_bytes: int) -> ScheduleChoice:
    """With so much of the arena left; what it takes of that is not planned."""
    estimate = convolution.work(scratch_bytes).instructions
    traffic = convolution.weight_bytes_read(scratch_bytes)
    return ScheduleChoice(CONVOLUTION, 0, estimate, traffic, True)


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


def _operators(
    arch: ArchConfig, streamed: bool, residual_bits: int, wanted: Callable[[str], bool]
) -> list[OpCost]:
    """The operators of a (one-block) network whose names are wanted, in order."""
    graph, ops = weightless_graph(arch, residual_bits)
    base = base_bytes(graph, ops, streamed)
    convolutions, costs = iter(_convolutions(arch)), []
    for op, operator, size in zip(ops, graph.operators, base, strict=True):
        if not wanted(operator.name):
            continue
        if op is None:
            costs.append(dataclasses.replace(next(convolutions), base_bytes=size))
            continue
        values = math.prod(graph.tensors[operator.inputs[0]].shape)
        costs.append(_fused(operator.name, op, size, values))
    return costs


def _fused(name: str, op: Params, size: int, values: int) -> OpCost:
    """A fused operator beside ``size`` bytes of tensors, with ``values`` values in its input."""
    ranked = sorted(candidates(op, values), key=lambda c: c.rank)
    schedules = tuple(_choice(name, c) for c in ranked)
    return OpCost(name, size, operator_of(op).constant_bytes, schedules, fused_call(op))


def _convolutions(arch: ArchConfig) -> list[OpCost]:
    """The stem's convolutions; the planner sets base_bytes.

    Their scratch is what the arena leaves (converter.compile), so that they have no schedule.
    """
    found, side, inputs = [], arch.image_size, arch.channels
    for layer, out_side in zip(arch.stem, arch.stem_sides, strict=True):
        convolution = StemConvolution(side, inputs, layer.kernel, layer.stride, layer.channels)
        assert convolution.out_side == out_side
        constants = convolution_constant_bytes(layer.channels, convolution.features)
        call = convolution_call(CONVOLUTION)
        found.append(OpCost(CONVOLUTION, 0, constants, (), call, convolution))
        side, inputs = out_side, layer.channels
    return found


def _tokens_are_first(
    ops: tuple[OpCost, ...], used: list[ScheduleChoice], arena: int, image_bytes: int
) -> list[bool]:
    """By operator, whether tokens lie below the scratch, as converter.plan.arrange leaves them.

    An image in the arena keeps them there until an operator has room for its input and its output
    beside its scratch; builtin convolutions have their scratch in the gaps, and nothing is moved.
    """
    if not image_bytes or any(op.convolution for op in ops):
        return [image_bytes > 0] * len(ops)
    needs = [2 * op.base_bytes + s.scratch_bytes for op, s in zip(ops, used, strict=True)]
    needs[0] = image_bytes + ops[1].base_bytes + used[0].scratch_bytes
    blocks = range(len(ops) - TAIL)
    moved = next((i for i in blocks if needs[i] <= arena), len(ops))
    return [moved > 0 and i <= moved for i in range(len(ops))]


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

    def operators(self, arch: ArchConfig) -> tuple[OpCost, ...]:
        """All operators of a network, from the remembered parts."""
        ends = _ends(arch, self.is_streamed(arch), self.residual_bits)
        blocks: list[OpCost] = []
        for b in range(arch.depth):
            blocks += self.block(arch, b)
        return (*ends[0], *blocks, *ends[1])

    def firmware(self, ops: tuple[OpCost, ...], arch: ArchConfig) -> Firmware:
        """What surrounds a network of these operators."""
        row_bytes = arch.image_size * arch.channels
        return Firmware(tuple(op.call for op in ops), row_bytes, self.is_streamed(arch))

    def is_streamed(self, arch: ArchConfig) -> bool:
        return self.streamed and not arch.stem

    def block(self, arch: ArchConfig, block: int) -> tuple[OpCost, OpCost]:
        """Attention and MLP of one block."""
        ranks, bits = arch.block_ranks(block), self.residual_bits
        attention = _attention(
            arch.tokens, arch.embed_dim, arch.heads[block], arch.head_dim, ranks.qkv, ranks.proj,
            arch.attention, bits,
        )  # fmt: skip
        hidden = arch.hidden_dim(block)
        return attention, _mlp(arch.tokens, arch.embed_dim, hidden, ranks.fc1, ranks.fc2, bits)

    def cost(self, arch: ArchConfig) -> NetworkCost:
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
        self, ops: tuple[OpCost, ...], used: list[ScheduleChoice], arena: int, arch: ArchConfig
    ) -> Reads | None:
        """What operators read of the arena past the data cache."""
        memory = self.target.arena_memory(self.firmware(ops, arch), arena)
        if memory.cache is None or arena <= memory.fast_bytes:
            return None
        image = 0 if self.is_streamed(arch) else arch.image_size**2 * arch.channels
        low = _tokens_are_first(ops, used, arena, image)
        fills = 0.0
        for op, s, is_low in zip(ops, used, low, strict=True):
            scratch_at, tokens_at = (op.base_bytes, 0) if is_low else (0, arena - op.base_bytes)
            fills += s.fills(scratch_at, tokens_at, op.base_bytes, memory)
        return Reads(memory.region, fills * memory.cache.line_bytes)

    def total(self, ops: tuple[OpCost, ...], arch: ArchConfig) -> NetworkCost:
        """The cost of a chain of operators."""
        target, firmware = self.target, self.firmware(ops, arch)
        limit = target.arena_bytes(firmware)
        peak = max(ops, key=lambda op: op.smallest_bytes)
        unlimited = limit is None
        if limit is None:
            limit = max(op.good_bytes for op in ops)
        chosen = [op.best(limit) for op in ops]
        constants = sum(op.constant_bytes for op in ops)
        external = target.is_external(constants)
        excess = []
        if any(s is None for s in chosen):
            assert not unlimited
            arena, count, latency = peak.smallest_bytes, np.inf, np.inf
            excess.append(target.excess(firmware, arena))
        else:
            used = [s for s in chosen if s is not None]
            needs = [op.base_bytes + s.scratch_bytes for op, s in zip(ops, used, strict=True)]
            arena = max(needs)
            peak = ops[needs.index(arena)]
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


# ---- what is remembered ------------------------------------------------------------------------


@functools.cache
def _ends_of(
    geometry: tuple[Any, ...], streamed: bool, residual_bits: int
) -> tuple[tuple[OpCost, ...], tuple[OpCost, ...]]:
    names = (
        "image_size", "channels", "num_classes", "patch_size", "patch_padding", "stem",
        "embed_dim", "pool",
    )  # fmt: skip
    fields = dict(zip(names, geometry, strict=True))
    arch = ArchConfig.uniform(depth=1, heads=1, mlp_ratio=1.0, head_dim=8, **fields)
    ops = _operators(arch, streamed, residual_bits, lambda name: name not in (ATTENTION, MLP))
    first = len(ops) - TAIL
    return tuple(ops[:first]), tuple(ops[first:])


def _ends(
    arch: ArchConfig, streamed: bool, residual_bits: int
) -> tuple[tuple[OpCost, ...], tuple[OpCost, ...]]:
    """What comes before the first block, and after the last."""
    geometry = (
        arch.image_size, arch.channels, arch.num_classes, arch.patch_size, arch.patch_padding,
        arch.stem, arch.embed_dim, arch.pool,
    )  # fmt: skip
    return _ends_of(geometry, streamed, residual_bits)


def _block_arch(tokens: int, dim: int, **fields: Any) -> ArchConfig:
    """A one-block network with so many tokens: a row of one-pixel patches and a class token, or
    a square. Only the number of tokens matters to a block."""
    side = int(tokens**0.5)
    pool = "mean" if side * side == tokens else "cls"
    if pool == "cls" and int((tokens - 1) ** 0.5) ** 2 != tokens - 1:
        raise ValueError(f"got {tokens} tokens, expected a square number, or one more")
    return ArchConfig(
        image_size=int((tokens - (pool == "cls")) ** 0.5), channels=1, num_classes=2, patch_size=1,
        embed_dim=dim, pool=pool, **fields,
    )  # fmt: skip


@functools.cache
def _attention(
    tokens: int, dim: int, heads: int, head_dim: int, qkv: int, proj: int, layout: str,
    residual_bits: int,
) -> OpCost:  # fmt: skip
    arch = _block_arch(
        tokens, dim, heads=(heads,), mlp_ratio=(1.0,), head_dim=head_dim,
        ranks=(BlockRanks(qkv=qkv, proj=proj),), attention=layout,
    )  # fmt: skip
    (found,) = _operators(arch, False, residual_bits, lambda name: name == ATTENTION)
    return found


@functools.cache
def _mlp(tokens: int, dim: int, hidden: int, fc1: int, fc2: int, residual_bits: int) -> OpCost:
    arch = _block_arch(
        tokens, dim, heads=(1,), mlp_ratio=(hidden / dim,), head_dim=8,
        ranks=(BlockRanks(fc1=fc1, fc2=fc2),),
    )  # fmt: skip
    (found,) = _operators(arch, False, residual_bits, lambda name: name == MLP)
    return found


__all__ = ["CostModel", "NetworkCost", "OpCost"]
