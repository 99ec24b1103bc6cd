# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE where a residual stream of int16 meets operators of int8 alone.

A stream becomes int16 only if fused operators alone touch it (`converter.fuse.residual`). Tokens
that are joined or added by builtin operators begin many a stream, and others read it; a QUANTIZE of
one type, which has an int16 form, stands between the two then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence

from converter.fuse.patterns.match import Match
from converter.fuse.residual import stream_groups
from converter.fuse.rewrite.engine import Normalized
from converter.tflite import GraphView, Operator, Tensor


def with_borders(
    normal: Normalized, matches: Sequence[Match], widened: Container[int]
) -> Normalized:
    """The graph with a QUANTIZE at the ends of the streams that one of these tensors is in.

    Args:
      normal: a graph in normal form.
      matches: what was found in it.
      widened: tensors that are to become int16.
    """
    view = GraphView(normal.graph)
    build = _Build(normal, view)
    for group in stream_groups(matches):
        if not any(t in widened for t in group):
            continue
        if any(t in view.graph.outputs or view.producer(t) is None for t in group):
            continue  # an end of the network has its type
        for tensor in group:
            build.separate(tensor, matches)
    return build.result()


class _Build:
    def __init__(self, normal: Normalized, view: GraphView) -> None:
        self._normal, self._view = normal, view
        self._tensors = list(normal.graph.tensors)
        self._operators = list(normal.graph.operators)
        self._behind: dict[int, Operator] = {}

    def separate(self, tensor: int, matches: Sequence[Match]) -> None:
        """Keeps a tensor of a stream away from all that is not fused."""
        view = self._view
        inside = {op for m in matches if m.READS_STREAM and m.x == tensor for op in m.ops}
        others = [r for r in view.consumers(tensor) if r not in inside and not self._casts(r)]
        writer = view.producer(tensor)
        assert writer is not None
        fused = any(m.WRITES_STREAM and m.y == tensor for m in matches)
        if (fused or self._casts(writer)) and not others:
            return
        t = view.tensor(tensor)
        self._tensors.append(dataclasses.replace(t, name=f"{t.name}/int8"))
        new = len(self._tensors) - 1
        ends = (tensor, new) if fused else (new, tensor)
        if not fused:
            self._renumber(writer, tensor, new)
        for reader in others:
            self._renumber(reader, tensor, new)
        self._behind[writer] = Operator("QUANTIZE", ends[:1], ends[1:], version=2)

    def result(self) -> Normalized:
        if not self._behind:
            return self._normal
        entries: list[tuple[Operator, tuple[int, ...]]] = []
        for index, op in enumerate(self._operators):
            entries.append((op, self._normal.origin[index]))
            if index in self._behind:
                entries.append((self._behind[index], self._normal.origin[index]))
        tensors: tuple[Tensor, ...] = tuple(self._tensors)
        operators = tuple(op for op, _ in entries)
        graph = dataclasses.replace(self._normal.graph, tensors=tensors, operators=operators)
        return Normalized(graph, tuple(origin for _, origin in entries))

    def _casts(self, op: int) -> bool:
        return self._view.op(op).opcode == "QUANTIZE"

    def _renumber(self, op: int, old: int, new: int) -> None:
        operator = self._operators[op]
        inputs = tuple(new if i == old else i for i in operator.inputs)
        outputs = tuple(new if i == old else i for i in operator.outputs)
        self._operators[op] = dataclasses.replace(operator, inputs=inputs, outputs=outputs)
