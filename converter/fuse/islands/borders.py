# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE where a residual stream of int16 meets operators of int8 alone.

A stream becomes int16 only if operators that have an int16 form alone touch it
(`converter.fuse.residual`): fused ones and carriers. Others begin many a stream, and others read
it; a QUANTIZE of one type, which has an int16 form, stands between the two then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence

from converter.fuse.islands.carriers import ends_network, values_of
from converter.fuse.layout import is_requantize
from converter.fuse.patterns.match import Match
from converter.fuse.residual import stream_groups
from converter.fuse.rewrite.engine import Normalized
from converter.fuse.wide import AS_INT8, AS_INT16
from converter.tflite import GraphView, Operator, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Bordered:
    """A graph with borders.

    Attributes:
      normal: the graph.
      carriers: its builtin operators that are to read and write int16.
    """

    normal: Normalized
    carriers: frozenset[int] = frozenset()


def with_borders(
    normal: Normalized,
    matches: Sequence[Match],
    widened: Container[int],
    carriers: frozenset[int] = frozenset(),
) -> Bordered:
    """The graph with a QUANTIZE at the ends of the streams that one of these tensors is in.

    Args:
      normal: a graph in normal form.
      matches: what was found in it.
      widened: tensors that are to become int16.
      carriers: builtin operators that are to carry them; those of a stream that must stay int8 are
        none in the result.
    """
    view = GraphView(normal.graph)
    while True:
        groups = stream_groups(matches, [_written(view, op, matches, carriers) for op in carriers])
        groups = [group for group in groups if any(t in widened for t in group)]
        ended = {t for group in groups if _has_end(view, group) for t in group}
        stuck = {op for op in carriers if view.op(op).outputs[0] in ended}
        if not stuck:
            break
        carriers -= stuck
    build = _Build(normal, view, carriers)
    wide = [t for group in groups for t in group if t not in ended]
    for op in sorted(carriers):
        build.widen_operands(op, wide)
    for tensor in wide:
        build.separate(tensor, matches)
    return build.result()


def _has_end(view: GraphView, group: Sequence[int]) -> bool:
    """Whether an end of the network, which has its type, is among tensors of one type."""
    return any(t in view.graph.outputs or view.producer(t) is None for t in group)


def _written(
    view: GraphView, op: int, matches: Sequence[Match], carriers: Container[int]
) -> tuple[int, ...]:
    """A carrier's result, and of its values those that are written in int16."""
    streams = {m.y for m in matches if m.WRITES_STREAM}
    values = (t for t in values_of(view, op) if t in streams or view.producer(t) in carriers)
    return (*view.op(op).outputs, *values)


class _Build:
    def __init__(self, normal: Normalized, view: GraphView, carriers: frozenset[int]) -> None:
        self._normal, self._view, self._carriers = normal, view, carriers
        self._tensors = list(normal.graph.tensors)
        self._operators = list(normal.graph.operators)
        self._before: dict[int, list[Operator]] = {}
        self._behind: dict[int, list[Operator]] = {}  # one for each result that is a stream
        self._widened: dict[int, int] = {}

    def widen_operands(self, op: int, wide: Container[int]) -> None:
        """Gives a carrier tensors of its own for values that are int8."""
        for tensor in dict.fromkeys(values_of(self._view, op)):
            if tensor in wide:
                continue
            if tensor not in self._widened:
                t = self._view.tensor(tensor)
                self._widened[tensor] = self._add(
                    dataclasses.replace(t, name=f"{t.name}{AS_INT16}")
                )
                if t.data is None:
                    cast = Operator("QUANTIZE", (tensor,), (self._widened[tensor],), version=2)
                    self._before.setdefault(op, []).append(cast)
            self._renumber(op, tensor, self._widened[tensor])

    def separate(self, tensor: int, matches: Sequence[Match]) -> None:
        """Keeps a tensor of a stream away from all that is not fused."""
        view = self._view
        inside = {op for m in matches if m.READS_STREAM and m.x == tensor for op in m.ops}
        inside |= self._carriers
        writer = view.producer(tensor)
        assert writer is not None
        if writer in self._carriers:
            inside |= {r for r in view.consumers(tensor) if ends_network(view, r)}
        others = [r for r in view.consumers(tensor) if r not in inside and not self._casts(r)]
        fused = any(m.WRITES_STREAM and m.y == tensor for m in matches)
        fused |= writer in self._carriers
        if (fused or self._casts(writer)) and not others:
            return
        t = view.tensor(tensor)
        new = self._add(dataclasses.replace(t, name=f"{t.name}{AS_INT8}"))
        ends = (tensor, new) if fused else (new, tensor)
        if not fused:
            self._renumber(writer, tensor, new)
        for reader in others:
            self._renumber(reader, tensor, new)
        cast = Operator("QUANTIZE", ends[:1], ends[1:], version=2)
        self._behind.setdefault(writer, []).append(cast)

    def result(self) -> Bordered:
        entries: list[tuple[Operator, tuple[int, ...]]] = []
        carriers: list[int] = []
        for index, op in enumerate(self._operators):
            origin = self._normal.origin[index]
            entries += [(cast, origin) for cast in self._before.get(index, ())]
            if index in self._carriers:
                carriers.append(len(entries))
            entries.append((op, origin))
            entries += [(cast, origin) for cast in self._behind.get(index, ())]
        tensors: tuple[Tensor, ...] = tuple(self._tensors)
        operators = tuple(op for op, _ in entries)
        graph = dataclasses.replace(self._normal.graph, tensors=tensors, operators=operators)
        normal = Normalized(graph, tuple(origin for _, origin in entries))
        return Bordered(normal, frozenset(carriers))

    def _add(self, tensor: Tensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _casts(self, op: int) -> bool:
        return is_requantize(self._view, op)

    def _renumber(self, op: int, old: int, new: int) -> None:
        operator = self._operators[op]
        inputs = tuple(new if i == old else i for i in operator.inputs)
        outputs = tuple(new if i == old else i for i in operator.outputs)
        self._operators[op] = dataclasses.replace(operator, inputs=inputs, outputs=outputs)
