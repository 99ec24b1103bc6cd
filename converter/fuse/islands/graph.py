# SPDX-License-Identifier: Apache-2.0
"""The graph with int8 tensors at the cuts."""

from __future__ import annotations

import dataclasses

import numpy as np

from converter.fuse.gate.plain import to_integers
from converter.fuse.islands.cuts import Cut, Cuts
from converter.fuse.islands.intervals import RealInterval
from converter.fuse.rewrite.engine import Normalized
from converter.tflite import Operator, Quantization, Tensor

_LARGEST = 127  # of a constant's integers
_STEPS = 255
_LEAST = 1e-6  # of the largest of a constant's numbers, or of a range: float32 ends here


@dataclasses.dataclass(frozen=True, eq=False)
class CutGraph:
    """A graph that is cut.

    Attributes:
      normal: the graph; the tensors of the old one keep their index.
      integers: the int8 tensor of each cut.
    """

    normal: Normalized
    integers: dict[int, int]


def cut_graph(normal: Normalized, cuts: Cuts) -> CutGraph:
    """Writes a QUANTIZE and a DEQUANTIZE behind what makes a tensor that is cut.

    The tensor is what the DEQUANTIZE gives, so that all who read it read rounded numbers; what
    makes it writes a new tensor.
    """
    build = _Build(normal)
    for op, place in cuts.constants:
        build.round_constant(op, place)
    for op, place in cuts.operands:
        build.integer_constant(op, place)
    for cut in cuts.cuts:
        build.cut(cut)
    return build.result()


class _Build:
    def __init__(self, normal: Normalized) -> None:
        self._graph = normal.graph
        self._origin = normal.origin
        self._tensors = list(normal.graph.tensors)
        self._operators = list(normal.graph.operators)
        self._before: dict[int, list[Operator]] = {}
        self._behind: dict[int, list[Operator]] = {}
        self._moved: set[int] = set()
        self._integers: dict[int, int] = {}
        self._view = normal.view

    def round_constant(self, op: int, place: int) -> None:
        """Rounds a float constant to 127 steps of each sign, as an int8 tensor would hold it."""
        old = self._operators[op]
        t = self._tensors[old.inputs[place]]
        assert t.data is not None
        rounded = Tensor(f"{t.name}/int8", t.shape, t.dtype, None, rounded_constant(t.data))
        self._put_input(op, place, self._add(rounded))

    def integer_constant(self, op: int, place: int) -> None:
        """Writes a float constant as int8 and its DEQUANTIZE."""
        old = self._operators[op]
        t = self._tensors[old.inputs[place]]
        assert t.data is not None
        interval = RealInterval.of(t.data)
        if interval is None:
            return
        q = quantization_of(interval)
        integer = Tensor(f"{t.name}/int8", t.shape, np.dtype(np.int8), q)
        data = to_integers(integer, t.data)
        source = self._add(dataclasses.replace(integer, data=data))
        real = self._add(Tensor(f"{t.name}/float", t.shape, t.dtype))
        self._before.setdefault(op, []).append(
            Operator("DEQUANTIZE", (source,), (real,), version=2)
        )
        self._put_input(op, place, real)

    def cut(self, cut: Cut) -> None:
        producer = self._view.producer(cut.tensor)
        assert producer is not None
        t = self._tensors[cut.tensor]
        fresh = self._add(dataclasses.replace(t, name=f"{t.name}/float"))
        if cut.quantize is None:
            q = quantization_of(cut.interval)
            integer = self._add(Tensor(f"{t.name}/int8", t.shape, np.dtype(np.int8), q))
            quantize = Operator("QUANTIZE", (fresh,), (integer,), version=2)
        else:
            quantize = dataclasses.replace(self._operators[cut.quantize], inputs=(fresh,))
            self._moved.add(cut.quantize)
            (integer,) = quantize.outputs
        self._replace_output(producer, cut.tensor, fresh)
        dequantize = Operator("DEQUANTIZE", (integer,), (cut.tensor,), version=2)
        self._behind.setdefault(producer, []).extend((quantize, dequantize))
        self._integers[cut.tensor] = integer

    def result(self) -> CutGraph:
        entries: list[tuple[Operator, tuple[int, ...]]] = []
        for index, op in enumerate(self._operators):
            entries += [(new, self._origin[index]) for new in self._before.get(index, ())]
            if index not in self._moved:
                entries.append((op, self._origin[index]))
            entries += [(new, self._origin[index]) for new in self._behind.get(index, ())]
        graph = dataclasses.replace(
            self._graph,
            tensors=tuple(self._tensors),
            operators=tuple(op for op, _ in entries),
        )
        return CutGraph(Normalized(graph, tuple(origin for _, origin in entries)), self._integers)

    def _add(self, tensor: Tensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _put_input(self, op: int, place: int, tensor: int) -> None:
        inputs = list(self._operators[op].inputs)
        inputs[place] = tensor
        self._operators[op] = dataclasses.replace(self._operators[op], inputs=tuple(inputs))

    def _replace_output(self, op: int, old: int, new: int) -> None:
        operator = self._operators[op]
        outputs = tuple(new if i == old else i for i in operator.outputs)
        self._operators[op] = dataclasses.replace(operator, outputs=outputs)


def rounded_constant(data: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """float32 [...]: multiples of the largest size over 127."""
    step = np.max(np.abs(data), initial=0.0).astype(np.float64) / _LARGEST
    if step == 0.0:
        return data
    rounded: np.ndarray = (np.rint(data / step) * step).astype(np.float32)  # type: ignore[type-arg]
    return rounded


def quantization_of(interval: RealInterval) -> Quantization:
    """The int8 type of an interval, 0 included."""
    i = interval.with_zero()
    width = max(i.high - i.low, _LEAST)
    scale = width / _STEPS
    return Quantization.per_tensor(scale, int(np.clip(np.rint(-128 - i.low / scale), -128, 127)))
