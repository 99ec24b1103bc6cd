# SPDX-License-Identifier: Apache-2.0
"""Who writes and who reads each tensor of a graph."""

from __future__ import annotations

from collections.abc import Sequence

from converter.tflite.model import Graph, Operator, Tensor


class GraphView:
    """A graph with its producer and consumer tables; operators are named by index.

    Args:
      numbers: what each operator is called in messages, where that is not its index (a graph that
        was rewritten).
    """

    def __init__(self, graph: Graph, numbers: Sequence[int] | None = None) -> None:
        self.graph = graph
        self._numbers = range(len(graph.operators)) if numbers is None else numbers
        self._producer: dict[int, int] = {}
        consumers: dict[int, list[int]] = {}
        for index, op in enumerate(graph.operators):
            for tensor in op.outputs:
                self._producer[tensor] = index
            for tensor in dict.fromkeys(op.inputs):
                if tensor >= 0:
                    consumers.setdefault(tensor, []).append(index)
        self._consumers = {tensor: tuple(ops) for tensor, ops in consumers.items()}

    def tensor(self, index: int) -> Tensor:
        return self.graph.tensors[index]

    def op(self, index: int) -> Operator:
        return self.graph.operators[index]

    def producer(self, tensor: int) -> int | None:
        """The operator that writes the tensor; None for graph inputs and constants."""
        return self._producer.get(tensor)

    def consumers(self, tensor: int) -> tuple[int, ...]:
        """The operators that read the tensor, each once."""
        return self._consumers.get(tensor, ())

    def is_constant(self, tensor: int) -> bool:
        return tensor >= 0 and self.tensor(tensor).is_constant

    def label(self, op: int) -> str:
        """An operator for a message, e.g. "ADD (op 23)"."""
        return f"{self.op(op).name} (op {self.number(op)})"

    def number(self, op: int) -> int:
        """The operator's index in the file that was read."""
        return self._numbers[op]
