# SPDX-License-Identifier: Apache-2.0
"""The order in which a graph's operators run, where memory gains by another than the file's.

A residual block with a convolution as its shortcut is written with the shortcut last, so that the
block's input lives beside everything in between. A convolution whose output is smaller than the
inputs that die with it runs earlier where the peak does not grow, and where convolutions, weighted
with their multiply-accumulates, have more room for scratch then. Only convolutions move, which
write nothing in place: nobody's overwriting is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from converter.plan.problem import ALIGNMENT, align_up
from converter.tflite import Graph

_MOVING = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def execution_order(graph: Graph) -> tuple[int, ...]:
    """The numbers of the operators, in the order in which they should run.

    The file's own order if no other is better, or if the graph keeps values between runs.
    """
    order = list(range(len(graph.operators)))
    if any(tensor.is_variable for tensor in graph.tensors):
        return tuple(order)
    memory = _Memory.of(graph)
    best = memory.cost(order)
    for op in tuple(order):
        at = order.index(op)
        if graph.operators[op].name not in _MOVING or not memory.shrinks(order, at):
            continue
        rest = order[:at] + order[at + 1 :]
        for place in range(memory.earliest(order, at), at):
            tried = [*rest[:place], op, *rest[place:]]
            if (cost := memory.cost(tried)) < best:
                best, order = cost, tried
    return tuple(order)


@dataclasses.dataclass(frozen=True)
class _Memory:
    """What decides an order.

    Attributes:
      reads, writes: activations of each operator.
      sizes: bytes of each tensor.
      macs: of each operator that is a convolution, else 0.
      kept: tensors that live to the end.
      given: tensors that live from the start.
    """

    reads: tuple[frozenset[int], ...]
    writes: tuple[frozenset[int], ...]
    sizes: tuple[int, ...]
    macs: tuple[int, ...]
    kept: frozenset[int]
    given: frozenset[int]

    @classmethod
    def of(cls, graph: Graph) -> _Memory:
        constant = {i for i, tensor in enumerate(graph.tensors) if tensor.is_constant}
        return cls(
            tuple(frozenset(op.inputs) - constant - {-1} for op in graph.operators),
            tuple(frozenset(op.outputs) - {-1} for op in graph.operators),
            tuple(align_up(tensor.nbytes, ALIGNMENT) for tensor in graph.tensors),
            tuple(_macs(graph, i) for i in range(len(graph.operators))),
            frozenset(graph.outputs),
            frozenset(graph.inputs),
        )

    def _last_readers(self, order: Sequence[int]) -> dict[int, int]:
        """The place in the order where each tensor is read last."""
        return {tensor: at for at, op in enumerate(order) for tensor in self.reads[op]}

    def shrinks(self, order: Sequence[int], at: int) -> bool:
        """Whether the operator there frees more bytes than it writes."""
        last = self._last_readers(order)
        dying = (t for t in self.reads[order[at]] - self.kept if last[t] == at)
        written = sum(self.sizes[t] for t in self.writes[order[at]])
        return sum(self.sizes[t] for t in dying) > written

    def earliest(self, order: Sequence[int], at: int) -> int:
        """The first place where everything that the operator there reads is written."""
        needed = self.reads[order[at]]
        made = (i + 1 for i in range(at) if self.writes[order[i]] & needed)
        return max(made, default=0)

    def cost(self, order: Sequence[int]) -> tuple[int, int]:
        """Peak of the live bytes, and those beside each convolution times what it computes."""
        last = self._last_readers(order)
        live = sum(self.sizes[t] for t in self.given)
        peak = beside = 0
        for at, op in enumerate(order):
            live += sum(self.sizes[t] for t in self.writes[op])
            peak = max(peak, live)
            beside += live * self.macs[op]
            ended = {t for t in self.reads[op] if last[t] == at} | (self.writes[op] - last.keys())
            live -= sum(self.sizes[t] for t in ended - self.kept)
        return peak, beside


def _macs(graph: Graph, number: int) -> int:
    op = graph.operators[number]
    if op.name not in _MOVING:
        return 0
    weights, y = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    return y.size * (weights.size // max(1, y.shape[-1]))
