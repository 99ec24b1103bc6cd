# SPDX-License-Identifier: Apache-2.0
"""The float network, cut at tensors."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from converter.quantize.calibration import float_interpreter
from converter.sensitivity.values import Reals
from converter.tflite import Graph, GraphView, Model, TfliteError, serialize


class FloatPiece:
    """The float operators between two tensors."""

    def __init__(self, graph: Graph, start: int, end: int) -> None:
        """Cuts the graph.

        Raises:
          TfliteError: what lies between depends on another activation.
        """
        view = GraphView(graph)
        wanted, ops = [end], set()
        while wanted:
            tensor = wanted.pop()
            op = view.producer(tensor)
            if tensor == start or (op is None and graph.tensors[tensor].is_constant):
                continue
            if op is None:
                raise TfliteError(
                    f"the float graph between {graph.tensors[start].name!r} and "
                    f"{graph.tensors[end].name!r} reads {graph.tensors[tensor].name!r} as well"
                )
            if op not in ops:
                ops.add(op)
                wanted.extend(i for i in view.op(op).inputs if i >= 0)
        piece = _subgraph(graph, sorted(ops), start, end)
        self._interpreter = float_interpreter(serialize(Model(piece)))
        self._shape = graph.tensors[start].shape

    def run(self, values: Reals) -> NDArray[np.float32]:
        """The end tensor's values for the start tensor's (any shape with as many elements)."""
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self._interpreter.set_tensor(
            inputs[0]["index"], np.asarray(values, np.float32).reshape(self._shape)
        )
        self._interpreter.invoke()
        result: NDArray[np.float32] = self._interpreter.get_tensor(outputs[0]["index"]).copy()
        return result


def _subgraph(graph: Graph, ops: list[int], start: int, end: int) -> Graph:
    operators = [graph.operators[i] for i in ops]
    used = dict.fromkeys([start, end])
    for op in operators:
        used.update(dict.fromkeys(i for i in (*op.inputs, *op.outputs) if i >= 0))
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    return Graph(
        tensors=tuple(graph.tensors[i] for i in used),
        operators=tuple(
            dataclasses.replace(
                op,
                inputs=tuple(place[i] for i in op.inputs),
                outputs=tuple(place[i] for i in op.outputs),
            )
            for op in operators
        ),
        inputs=(place[start],),
        outputs=(place[end],),
    )
