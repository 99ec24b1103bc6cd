# SPDX-License-Identifier: Apache-2.0
"""Where each buffer lies on a board, how much it is used, and what an inference takes there.

The time is an estimate by formulas alone (converter.latency, converter.plan.fills); nothing runs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from converter import schedule
from converter.board_fit import BoardFit
from converter.inspect.report import Budgets, ModelReport
from converter.latency import ASSUMES, Estimate, Reads, cycles_per_instruction, estimate
from converter.plan.accesses import access_bytes
from converter.plan.fills import memory_in, plan_fills
from converter.plan.lifetimes import tensor_id
from tflm_custom_ops.ops import operator_of

_NEW_SHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_NAME = 48  # characters of a name that are shown


@dataclasses.dataclass(frozen=True)
class PlacedBuffer:
    """A buffer of the arena.

    Attributes:
      name: for people.
      offset, size_bytes: in the arena.
      access_bytes: loaded and stored in one inference.
      fast_bytes: how many of its bytes are tightly coupled memory.
    """

    name: str
    offset: int
    size_bytes: int
    access_bytes: float
    fast_bytes: int


def placed_buffers(found: ModelReport, fit: BoardFit) -> tuple[PlacedBuffer, ...]:
    """Every buffer, those with most accesses per byte first."""
    memory, accesses = memory_in(fit.data, fit.board.core.data_cache), access_bytes(found.stated)
    placed = []
    for buffer, at in zip(found.stated.problem.buffers, found.offsets, strict=True):
        fast = min(buffer.size_bytes, max(0, memory.fast_bytes - at))
        name = found.stated.names[buffer.id]
        placed.append(PlacedBuffer(name, at, buffer.size_bytes, accesses[buffer.id], fast))
    return tuple(sorted(placed, key=lambda b: -b.access_bytes / max(1, b.size_bytes)))


@dataclasses.dataclass(frozen=True)
class OperatorTime:
    """Milliseconds of one operator, an estimate as `Estimate` is.

    Attributes:
      compute_ms: with memory that never stalls.
      weights_ms: to read constants from flash.
      activations_ms: line fills of the data cache.
    """

    compute_ms: float
    weights_ms: float
    activations_ms: float

    @property
    def total_ms(self) -> float:
        return self.compute_ms + self.weights_ms + self.activations_ms


@dataclasses.dataclass(frozen=True)
class _Work:
    """What decides an operator's time: core cycles, bytes of constants, line fills."""

    cycles: float
    weight_bytes: int
    fills: float


def moves_nothing(found: ModelReport, index: int) -> bool:
    """Whether an operator only names its input's bytes anew: a RESHAPE whose output lies there."""
    op = found.stated.graph.operators[index]
    if op.opcode not in _NEW_SHAPES:
        return False
    at = dict(zip((b.id for b in found.stated.problem.buffers), found.offsets, strict=True))
    place = at.get(tensor_id(op.inputs[0]))
    return place is not None and place == at.get(tensor_id(op.outputs[0]))


def not_modelled(found: ModelReport) -> str:
    """The operators whose work nobody estimates, e.g. "2 CONV_2D, 1 MEAN"; empty for none."""
    names = Counter(
        node.name
        for i, (node, op) in enumerate(
            zip(found.stated.graph.operators, found.stated.ops, strict=True)
        )
        if op is None and not moves_nothing(found, i)
    )
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def _works(found: ModelReport, fit: BoardFit) -> list[_Work] | None:
    """Of every operator; None where the model does not fit, or an operator is not modelled."""
    if fit.misfit() is not None or not_modelled(found):
        return None
    graph, core = found.stated.graph, fit.board.core.name
    fills = plan_fills(found.stated, found.offsets, memory_in(fit.data, fit.board.core.data_cache))
    works = []
    for node, op, lines in zip(graph.operators, found.stated.ops, fills, strict=True):
        if op is None:
            works.append(_Work(0.0, 0, 0.0))
            continue
        cost = schedule.cost(op, graph.tensors[node.inputs[0]].size)
        cycles = cost.instructions * cycles_per_instruction(core, operator_of(op).CODE)
        works.append(_Work(cycles, cost.weight_bytes, lines))
    return works


def operator_times(found: ModelReport, fit: BoardFit) -> tuple[OperatorTime, ...] | None:
    """Of every operator; they add up to the lower figure of `latency`."""
    works, memory = _works(found, fit), memory_in(fit.data, fit.board.core.data_cache)
    if works is None:
        return None
    line_bytes = 0 if memory.cache is None else memory.cache.line_bytes
    return tuple(
        OperatorTime(
            1e3 * work.cycles / fit.board.clock.system_hz,
            fit.constants_region.read_milliseconds(work.weight_bytes),
            memory.region.read_milliseconds(work.fills * line_bytes),
        )
        for work in works
    )


def latency(found: ModelReport, fit: BoardFit) -> Estimate | None:
    """Of one inference; None where the model does not fit, or an operator is not modelled."""
    works = _works(found, fit)
    if works is None:
        return None
    memory = memory_in(fit.data, fit.board.core.data_cache)
    reads = [Reads(fit.constants_region, sum(work.weight_bytes for work in works))]
    if memory.cache is not None:
        fills = sum(work.fills for work in works)
        reads.append(Reads(memory.region, fills * memory.cache.line_bytes))
    return estimate(sum(work.cycles for work in works), fit.board.clock.system_hz, reads)


def over_latency(found: ModelReport, budgets: Budgets) -> str | None:
    """The line for a model that takes longer than the limit, or nobody knows how long; or None."""
    limit, fit = budgets.latency_ms, budgets.fit
    if limit is None:
        return None
    told = None if fit is None else latency(found, fit)
    if told is None:
        return (
            f"latency: a limit of {limit:g} ms, and no estimate; expected a board that the model "
            "fits (--board), and no builtin operator"
        )
    if told.high_ms <= limit:
        return None
    return (
        f"over budget: latency needs {told}, the limit is {limit:g} ms; what would make it fit: a "
        "smaller network, or one found by nas.search --latency_ms"
    )


def tables(found: ModelReport, fit: BoardFit) -> list[tuple[str, list[list[str]]]]:
    """Headings and rows (first the header)."""
    rows = [["buffer", "offset", "bytes", "loaded and stored", "per byte", "tightly coupled"]]
    for b in placed_buffers(found, fit):
        per_byte = round(b.access_bytes / max(1, b.size_bytes))
        numbers = (b.offset, b.size_bytes, round(b.access_bytes), per_byte, b.fast_bytes)
        name = b.name if len(b.name) <= _NAME else f"...{b.name[3 - _NAME :]}"
        rows.append([name, *(f"{n:,}" for n in numbers)])
    found_tables = [(f"Buffers on {fit.board.title}, the most used first; bytes", rows)]
    told = latency(found, fit)
    if told is not None:
        parts = [["milliseconds, estimate", "of"], [f"{told.compute_ms:,.1f}", "instructions"]]
        for read in told.reads:
            what = f"{read.size_bytes:,.0f} bytes read of {read.region.name}"
            parts.append([f"{read.sequential_ms:,.1f}", what])
        found_tables.append((f"Latency: {told}. Assumes: {ASSUMES}", parts))
    return found_tables


def as_dict(found: ModelReport, fit: BoardFit) -> dict[str, Any]:
    """Plain data; bytes, and milliseconds that are estimates."""
    told = latency(found, fit)
    data: dict[str, Any] = {
        "placement": [dataclasses.asdict(b) for b in placed_buffers(found, fit)]
    }
    if told is not None:
        data["latency_estimate"] = {
            "assumes": ASSUMES,
            "compute_ms": round(told.compute_ms, 3),
            "low_ms": round(told.low_ms, 3),
            "high_ms": round(told.high_ms, 3),
            "reads": [
                {"region": r.region.name, "bytes": round(r.size_bytes), "seeks": round(r.seeks)}
                for r in told.reads
            ],
        }
    return data
