# SPDX-License-Identifier: Apache-2.0
"""Small valid files to mutate: pieces of a few operators, cut from whole networks.

A piece is as good a start as its network, and a hundred times cheaper; pieces with the same
operators and types count once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from converter.tflite import Graph, Model, parse, serialize

PIECE_OPERATORS = (1, 2, 3)
LARGEST_PIECE_BYTES = 1 << 15


def cut(graph: Graph, start: int, count: int) -> Model:
    """The operators [start, start + count) of a graph as a file of its own."""
    ops = graph.operators[start : start + count]
    used = tuple(dict.fromkeys(i for op in ops for i in (*op.inputs, *op.outputs) if i >= 0))
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    written = {i for op in ops for i in op.outputs}
    read = {i for op in ops for i in op.inputs}
    renumbered = tuple(
        dataclasses.replace(
            op,
            inputs=tuple(place[i] for i in op.inputs),
            outputs=tuple(place[i] for i in op.outputs),
            intermediates=(),
        )
        for op in ops
    )
    tensors = [graph.tensors[i] for i in used]
    inputs = [place[i] for i in used if i not in written and not graph.tensors[i].is_constant]
    outputs = [place[i] for i in used if i in written and (i not in read or count == 1)]
    return Model(Graph(tuple(tensors), renumbered, tuple(inputs), tuple(outputs)))


def _kind(model: Model) -> str:
    """Operators, versions, types and ranks: what tells pieces apart."""
    graph = model.graph
    words = []
    for op in graph.operators:
        tensors = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i >= 0]
        words.append(f"{op.name}{op.version}{[(t.dtype.str, len(t.shape)) for t in tensors]}")
    return " ".join(words)


def _cuts(graph: Graph) -> Iterator[Model]:
    for count in PIECE_OPERATORS:
        for start in range(len(graph.operators) - count + 1):
            if all(op.opcode != "CUSTOM" for op in graph.operators[start : start + count]):
                yield cut(graph, start, count)


def pieces(files: Iterable[bytes]) -> list[bytes]:
    """Valid files of a few operators, one of each kind, in the order of the files."""
    found: dict[str, bytes] = {}
    for content in files:
        for model in _cuts(parse(content).graph):
            if not model.graph.inputs or not model.graph.outputs:
                continue
            kind = _kind(model)
            if kind not in found and len(piece := serialize(model)) <= LARGEST_PIECE_BYTES:
                found[kind] = piece
    return list(found.values())
