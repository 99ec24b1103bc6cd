# SPDX-License-Identifier: Apache-2.0
"""Line fills of a data cache, estimated from where an operator's buffers lie. No emulation.

Rows that are run through again and again (`Stream`) are fetched each time, but for what is tightly
coupled or small enough to stay in the cache. What is read once is fetched once. Sums, tables and
weights are not counted; weights have a term of their own (converter.latency). benchmarks/latency.py
records what a model of the cache counts beside this estimate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from boards import Board, Use
from boards.core import Cache
from boards.memory import Region
from boards.placement import Filled, fill, with_fast_arena
from converter.plan.accesses import activations_read
from converter.plan.lifetimes import STRIP_ID, ModelProblem, scratch_id, tensor_id
from converter.tflite import Operator
from tflm_custom_ops.ops import operator_of
from tflm_custom_ops.ops.base import FusedOperator
from tflm_custom_ops.ops.streams import Stream

# Share of a cache that rows have to themselves: weights and tables go through it beside them.
_OWN_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class ArenaMemory:
    """What an arena lies in.

    Attributes:
      region: where the linker puts it.
      fast_bytes: of the arena from its start, tightly coupled; at most the arena's size matters.
      cache: the core's data cache, None for none.
    """

    region: Region
    fast_bytes: int
    cache: Cache | None

    def slow_bytes(self, begin: int, size_bytes: int) -> int:
        """How many of the arena's bytes [begin, begin + size) are behind the cache."""
        if self.cache is None:
            return 0
        return max(0, begin + size_bytes - max(begin, self.fast_bytes))


def arena_memory(
    board: Board, *, stack_bytes: int, data_bytes: int, arena_bytes: int
) -> ArenaMemory:
    """What an arena lies in beside so much stack and static data."""
    sizes = {"stack_bytes": stack_bytes, "data_bytes": data_bytes, "arena_bytes": arena_bytes}
    return memory_in(fill(with_fast_arena(board, **sizes), **sizes), board.core.data_cache)


def memory_in(filled: Iterable[Filled], cache: Cache | None) -> ArenaMemory:
    """What the arena lies in, of regions with an image's parts."""
    arena = next(f for f in filled if f.parts[-1].use is Use.ARENA)
    start = arena.region.base + arena.parts[-1].offset
    return ArenaMemory(arena.region, max(0, arena.region.cached_base - start), cache)


def stream_fills(streams: Sequence[Stream], at: int, memory: ArenaMemory) -> float:
    """Line fills of an operator's streams, whose scratch is at an offset of the arena."""
    if memory.cache is None:
        return 0.0
    lines = 0.0
    for stream in streams:
        slow = memory.slow_bytes(at + stream.begin, stream.size_bytes)
        stays = slow <= _OWN_SHARE * memory.cache.size_bytes
        lines += slow * stream.times * (1 if stays else stream.passes)
    return lines / memory.cache.line_bytes


def buffer_fills(at: int, size_bytes: int, read_bytes: float, memory: ArenaMemory) -> float:
    """Line fills of a buffer of which so many bytes are read in sequence."""
    if memory.cache is None or not size_bytes:
        return 0.0
    share = memory.slow_bytes(at, size_bytes) / size_bytes
    return share * read_bytes / memory.cache.line_bytes


def plan_fills(
    stated: ModelProblem, offsets: Sequence[int], memory: ArenaMemory
) -> tuple[float, ...]:
    """Line fills of each operator of a planned model; 0 for builtin ones, which are not known.

    Args:
      offsets: of ``stated.problem.buffers``.
    """
    at = dict(zip((b.id for b in stated.problem.buffers), offsets, strict=True))
    sizes = {b.id: b.size_bytes for b in stated.problem.buffers}
    found = []
    for i, (op, fused) in enumerate(zip(stated.graph.operators, stated.ops, strict=True)):
        if fused is None:
            found.append(0.0)
            continue
        operator = operator_of(fused)
        fills = stream_fills(operator.streams, at.get(scratch_id(i), 0), memory)
        for name, read in _read_once(stated, op, operator):
            fills += buffer_fills(at[name], sizes[name], read, memory)
        found.append(fills)
    return tuple(found)


def _read_once(
    stated: ModelProblem, op: Operator, operator: FusedOperator[Any]
) -> list[tuple[str, float]]:
    """Buffers beside the scratch, and bytes that are read of them in sequence."""
    graph, accesses = stated.graph, operator.accesses
    found = []
    for t, size in activations_read(graph, op, accesses):
        is_strip = stated.streamed and t in graph.inputs
        found.append((STRIP_ID if is_strip else tensor_id(t), token_reads(operator, size)))
    if not (operator.WRITES_STREAM and operator.in_place):
        found.append((tensor_id(op.outputs[0]), float(accesses.output)))
    return found


def token_reads(operator: FusedOperator[Any], loaded_bytes: int) -> float:
    """Of bytes of an input that are loaded, those that the cache has to fetch: a LayerNorm reads
    each row twice, one after the other."""
    return loaded_bytes / 2 if operator.WRITES_STREAM and operator.in_place else loaded_bytes
