# SPDX-License-Identifier: Apache-2.0
"""What the operators of a network cost, each evaluated once and remembered (`nas.cost.model`)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from converter.code_size import ModelCall
from converter.compile.used import fused_call
from converter.plan import planner
from converter.plan.budget import base_bytes, padded
from converter.plan.fills import ArenaMemory, buffer_fills, stream_fills, token_reads
from converter.plan.lifetimes import is_streamable, model_problem
from converter.plan.model import with_schedules
from converter.plan.weightless import weightless_graph
from converter.schedule import Candidate, candidates, has_good_tile
from converter.tflite import Graph, Operator
from keras_models.arch import ArchConfig, BlockRanks
from keras_models.parts import TransformerBlock
from keras_models.staged import Architecture
from nas.cost.builtin import builtin_cost
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.ops import Params, operator_of
from tflm_custom_ops.ops.streams import Stream

ATTENTION, MLP = "VitAttention", "VitMlp"  # of a block
_TAIL = {"mean": 2, "cls": 2, "patches": 4}  # operators behind the last block, by the pool


@dataclasses.dataclass(frozen=True)
class ScheduleChoice:
    """One schedule of a kind of operator, e.g. "VitMlp": bytes of scratch in the arena, and what a
    run costs; ``op`` is the operator so scheduled, None for a builtin one."""

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
      convolution: it takes as scratch what the arena has left (converter.compile).
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
    return ScheduleChoice("CONV_2D", 0, estimate, traffic, True)


def operators_of(
    arch: Architecture, streamed: bool, residual_bits: int, wanted: Callable[[str], bool]
) -> list[OpCost]:
    """The operators of a network whose names are wanted, in order."""
    graph, ops = weightless_graph(arch, residual_bits)
    base, costs = base_bytes(graph, ops, streamed), []
    for op, operator, size in zip(ops, graph.operators, base, strict=True):
        if not wanted(operator.name):
            continue
        if op is None:
            costs.append(_builtin(graph, operator, size))
            continue
        values = math.prod(graph.tensors[operator.inputs[0]].shape)
        costs.append(_fused(operator.name, op, size, values))
    return costs


@functools.lru_cache(4096)
def all_operators(arch: Architecture, streamed: bool, residual_bits: int) -> tuple[OpCost, ...]:
    """Every operator of a network."""
    return tuple(operators_of(arch, streamed, residual_bits, lambda name: True))


def placed_bytes(
    arch: Architecture, streamed: bool, residual_bits: int, ops: tuple[Params | None, ...]
) -> int:
    """Bytes of a network's arena with its operators so scheduled, placed by the planner."""
    graph, _ = weightless_graph(arch, residual_bits)
    stated = model_problem(with_schedules(graph, ops), ops, streamed)
    return planner.place(stated.problem).arena_bytes[0]


@functools.lru_cache(4096)
def takes_rows(arch: Architecture) -> bool:
    """Whether the image may arrive in rows."""
    return not arch.stem and (
        isinstance(arch, ArchConfig) or is_streamable(*weightless_graph(arch))
    )


@functools.lru_cache(4096)  # blocks of one shape are one object (converter.plan.weightless_blocks)
def _fused(name: str, op: Params, size: int, values: int) -> OpCost:
    """A fused operator beside ``size`` bytes of tensors, with ``values`` values in its input."""
    ranked = sorted(candidates(op, values), key=lambda c: c.rank)
    schedules = tuple(_choice(name, c) for c in ranked)
    return OpCost(name, size, operator_of(op).constant_bytes, schedules, fused_call(op))


def _builtin(graph: Graph, operator: Operator, size: int) -> OpCost:
    found = builtin_cost(graph, operator)
    schedules: tuple[ScheduleChoice, ...] = ()
    if found.convolution is None:
        work = (found.instructions, found.weight_bytes)
        schedules = (ScheduleChoice(found.name, 0, *work, True),)
    return OpCost(found.name, size, found.constant_bytes, schedules, found.call, found.convolution)


def tokens_are_first(
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
    blocks = range(len(ops) - _TAIL["mean"])
    moved = next((i for i in blocks if needs[i] <= arena), len(ops))
    return [moved > 0 and i <= moved for i in range(len(ops))]


# ---- what is remembered ------------------------------------------------------------------------


@functools.cache
def _ends_of(
    geometry: tuple[Any, ...], streamed: bool, residual_bits: int
) -> tuple[tuple[OpCost, ...], tuple[OpCost, ...]]:
    names = (
        "image_size", "channels", "num_classes", "patch_size", "patch_padding", "stem",
        "embed_dim", "pool", "dense",
    )  # fmt: skip
    fields = dict(zip(names, geometry, strict=True))
    arch = ArchConfig.uniform(depth=1, heads=1, mlp_ratio=1.0, head_dim=8, **fields)
    ops = operators_of(arch, streamed, residual_bits, lambda name: name not in (ATTENTION, MLP))
    first = len(ops) - _TAIL[arch.pool]
    return tuple(ops[:first]), tuple(ops[first:])


def ends_of(
    arch: ArchConfig, streamed: bool, residual_bits: int
) -> tuple[tuple[OpCost, ...], tuple[OpCost, ...]]:
    """What comes before the first block, and after the last."""
    geometry = (
        arch.image_size, arch.channels, arch.num_classes, arch.patch_size, arch.patch_padding,
        arch.stem, arch.embed_dim, arch.pool, arch.dense,
    )  # fmt: skip
    return _ends_of(geometry, streamed, residual_bits)


@functools.cache
def _attention(block: TransformerBlock, layout: str, residual_bits: int) -> OpCost:
    places = block.places
    arch = ArchConfig(
        image_size=places.side, channels=1, num_classes=2, patch_size=1, embed_dim=block.width,
        heads=(block.heads,), mlp_ratio=(1.0,), head_dim=block.head_dim, ranks=(block.ranks,),
        attention=layout, pool="cls" if places.prefix else "mean",
        relative_position=places.relative, weight_bits=(block.weight_bits,),
    )  # fmt: skip
    (found,) = operators_of(arch, False, residual_bits, lambda name: name == ATTENTION)
    return found


def attention_cost(block: TransformerBlock, layout: str, residual_bits: int) -> OpCost:
    """Attention of a block of one stage; what its MLP is does not matter."""
    ranks = BlockRanks(qkv=block.ranks.qkv, proj=block.ranks.proj)
    return _attention(
        dataclasses.replace(block, hidden=block.width, ranks=ranks), layout, residual_bits
    )


@functools.cache
def _mlp(block: TransformerBlock, residual_bits: int) -> OpCost:
    places = block.places
    arch = ArchConfig(
        image_size=places.side, channels=1, num_classes=2, patch_size=1, embed_dim=block.width,
        heads=(1,), mlp_ratio=(block.hidden / block.width,), head_dim=8, ranks=(block.ranks,),
        pool="cls" if places.prefix else "mean", weight_bits=(block.weight_bits,),
    )  # fmt: skip
    (found,) = operators_of(arch, False, residual_bits, lambda name: name == MLP)
    return found


def mlp_cost(block: TransformerBlock, residual_bits: int) -> OpCost:
    """The MLP of a block of one stage; what its attention is does not matter."""
    ranks = BlockRanks(fc1=block.ranks.fc1, fc2=block.ranks.fc2)
    places = dataclasses.replace(block.places, relative=0)
    return _mlp(
        dataclasses.replace(block, heads=1, head_dim=8, ranks=ranks, places=places), residual_bits
    )
