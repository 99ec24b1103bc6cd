# SPDX-License-Identifier: Apache-2.0
"""Filters that a network makes of MATRIX_DIAG, which TFLM does not have, are stored.

Keras' `ops.image.extract_patches` is a convolution whose filters are a unit matrix in another
shape. TensorFlow folds a small one; a large one stays an operator (patches of 8 x 8 RGB pixels on),
and its filters get a zero point, which no kernel of convolutions reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from converter.tflite.model import Graph, Operator, Quantization, Tensor

_MOVES = ("RESHAPE", "TRANSPOSE")
_MOST_MOVES = 4
_MOST_ELEMENTS = 1 << 24  # of all filters together: patches of 32 x 32 RGB pixels, and more


@dataclasses.dataclass(frozen=True, eq=False)
class _Filters:
    """A constant in the place of a computed tensor; `ops` made it."""

    tensor: Tensor
    ops: tuple[int, ...]


def with_filters_stored(graph: Graph) -> Graph:
    """The graph with constant filters where convolutions alone read such a matrix, their bias 0."""
    if not any(op.opcode == "MATRIX_DIAG" for op in graph.operators):
        return graph
    writer = {t: i for i, op in enumerate(graph.operators) for t in op.outputs}
    tensors = list(graph.tensors)
    made: set[int] = set()
    left = _MOST_ELEMENTS
    for index in sorted({i for op in graph.operators for i in op.inputs[1:2]}):
        readers = [op for op in graph.operators if index in op.inputs]
        if index in graph.outputs or not all(_is_plain(graph, op, index) for op in readers):
            continue
        filters = _filters(graph, writer, index, left)
        if filters is None:
            continue
        tensors[index] = filters.tensor
        left -= filters.tensor.size
        made.update(filters.ops)
        for op in readers:
            _count_anew(tensors, op)
    return dataclasses.replace(
        graph, tensors=tuple(tensors), operators=_living(graph, tensors, made)
    )


def _is_plain(graph: Graph, op: Operator, filters: int) -> bool:
    """Whether it is a convolution with these filters and a bias of 0 that nothing else reads."""
    if op.opcode != "CONV_2D" or len(op.inputs) != 3 or op.inputs[1] != filters:
        return False
    if op.inputs[0] == filters or op.inputs[2] < 0:
        return False
    bias = graph.tensors[op.inputs[2]]
    users = sum(op.inputs[2] in other.inputs for other in graph.operators)
    return bias.data is not None and not np.any(bias.data) and users == 1


def _filters(graph: Graph, writer: Mapping[int, int], tensor: int, most: int) -> _Filters | None:
    """What a tensor holds that moves make of MATRIX_DIAG of equal numbers."""
    t = graph.tensors[tensor]
    if t.is_constant or t.size > most:
        return None
    chain: list[int] = []
    while (index := writer.get(tensor)) is not None and len(chain) <= _MOST_MOVES:
        op = graph.operators[index]
        chain.insert(0, index)
        if op.opcode == "MATRIX_DIAG":
            return _moved(graph, chain, t)
        if op.opcode not in _MOVES or not op.inputs or len(op.outputs) != 1:
            return None
        tensor = op.inputs[0]
    return None


def _moved(graph: Graph, chain: list[int], wanted: Tensor) -> _Filters | None:
    first = graph.operators[chain[0]]
    if len(first.inputs) != 1 or len(first.outputs) != 1 or first.inputs[0] < 0:
        return None
    unit = _unit(graph.tensors[first.inputs[0]])
    if unit is None or unit.size != wanted.size:
        return None
    data = unit.data
    assert data is not None
    for index in chain[1:]:
        op = graph.operators[index]
        shape = graph.tensors[op.outputs[0]].shape
        if op.opcode == "RESHAPE":
            data = data.reshape(shape) if data.size == np.prod(shape, dtype=np.int64) else None
        else:
            order = graph.tensors[op.inputs[1]].data if len(op.inputs) == 2 else None
            is_order = order is not None and sorted(order.reshape(-1)) == list(range(data.ndim))
            data = data.transpose(order.reshape(-1)) if is_order and order is not None else None
        if data is None:
            return None
    if data.shape != wanted.shape or unit.dtype != wanted.dtype:
        return None
    tensor = dataclasses.replace(unit, name=wanted.name, shape=data.shape)
    return _Filters(dataclasses.replace(tensor, data=np.ascontiguousarray(data)), tuple(chain))


def _unit(diagonal: Tensor) -> Tensor | None:
    """The matrix of a diagonal of one number: ones in the scale of that number, zeros beside it."""
    data, q = diagonal.data, diagonal.quantization
    if data is None or data.ndim != 1 or not data.size or np.any(data != data[0]):
        return None
    size = (len(data), len(data))
    if diagonal.dtype == np.float32 and q is None:
        ones = np.eye(len(data), dtype=np.float32) * data[0]
        return dataclasses.replace(diagonal, shape=size, data=ones)
    if diagonal.dtype != np.int8 or q is None or len(q.scale) != 1:
        return None
    steps = int(data[0]) - int(q.zero_point[0])
    if steps <= 0:
        return None
    scale = Quantization.per_tensor(float(q.scale[0]) * steps, 0)
    ones = np.eye(len(data), dtype=np.int8)
    return dataclasses.replace(diagonal, shape=size, data=ones, quantization=scale)


def _count_anew(tensors: list[Tensor], op: Operator) -> None:
    """The bias, which is 0, in the unit of the sums with the new filters."""
    x, w, b = (tensors[i] for i in op.inputs)
    if x.quantization is None or w.quantization is None or b.quantization is None:
        return
    unit = float(x.quantization.scale[0]) * float(w.quantization.scale[0])
    tensors[op.inputs[2]] = dataclasses.replace(b, quantization=Quantization.per_tensor(unit, 0))


def _living(graph: Graph, tensors: list[Tensor], made: set[int]) -> tuple[Operator, ...]:
    """The operators without those that made what is stored, where nothing else reads them."""
    kept: list[Operator] = []
    read = set(graph.outputs)
    for index in range(len(graph.operators) - 1, -1, -1):
        op = graph.operators[index]
        is_read = any(o in read and not tensors[o].is_constant for o in op.outputs)
        if index in made and not is_read:
            continue
        kept.append(op)
        read.update(op.inputs)
    return tuple(reversed(kept))
