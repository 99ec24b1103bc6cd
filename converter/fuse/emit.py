# SPDX-License-Identifier: Apache-2.0
"""Builds the fused graph: custom operators with one constant blob each, nothing dead left over, in
the order that memory gains by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.fuse.arithmetic import Range
from converter.fuse.patterns.match import Match
from converter.fuse.wide import before_rounding, retyped
from converter.plan.metadata import without_plan
from converter.plan.order import execution_order
from converter.tflite import Graph, GraphView, Model, Operator, Tensor
from converter.tflite.model import Signature
from tflm_custom_ops.ops import Params, code_of, encode


@dataclasses.dataclass(frozen=True, eq=False)
class Replacement:
    """A match and the custom operator that takes its place."""

    match: Match
    op: Params


@dataclasses.dataclass(frozen=True, eq=False)
class Emitted:
    """The fused model.

    Attributes:
      model: as written.
      kept: plain graph index of each builtin operator, by its index in the fused graph.
    """

    model: Model
    kept: dict[int, int]


def emit(
    model: Model, view: GraphView, replacements: Sequence[Replacement], wide: dict[int, Range]
) -> Emitted:
    """The model with matches replaced.

    Args:
      wide: tensors that become int16, with their new type.
    """
    tensors = list(model.graph.tensors)
    for i, type_ in wide.items():
        exact = before_rounding(tensors, tensors[i]) if tensors[i].is_constant else None
        tensors[i] = retyped(tensors[i], type_, exact)
    operators: list[Operator] = []
    plain: list[int | None] = []  # of each operator, its number in the plain graph if it stays
    ends = {view.producer(r.match.y): r for r in replacements}
    inner = {op for r in replacements for op in r.match.ops}
    unread = _unread_since(view, inner)
    for index, op in enumerate(model.graph.operators):
        if index in ends:
            operators.append(_custom(ends[index], tensors))
            plain.append(None)
        elif index not in inner and not (op.opcode == "DEQUANTIZE" and set(op.outputs) <= unread):
            operators.append(op)
            plain.append(index)
    graph = dataclasses.replace(model.graph, tensors=tuple(tensors), operators=tuple(operators))
    order = execution_order(graph)
    graph = dataclasses.replace(graph, operators=tuple(operators[i] for i in order))
    numbers = ((new, plain[old]) for new, old in enumerate(order))
    kept = {new: number for new, number in numbers if number is not None}
    return Emitted(_without_dead_tensors(model, graph), kept)


def _unread_since(view: GraphView, gone: set[int]) -> set[int]:
    """Tensors that were read, and are not where those operators are gone (floats of tables)."""
    read = {t for op in gone for t in view.op(op).inputs if t >= 0}
    return {t for t in read - set(view.graph.outputs) if set(view.consumers(t)) <= gone}


def _custom(replacement: Replacement, tensors: list[Tensor]) -> Operator:
    """The operator; its blob is appended to `tensors`."""
    match, op = replacement.match, replacement.op
    code = code_of(op)
    custom_options, blob = encode(op)
    data = np.frombuffer(blob, np.uint8)
    name = f"{tensors[match.y].name}/{code}"
    tensors.append(Tensor(name, data.shape, data.dtype, data=data))
    return Operator(
        opcode="CUSTOM",
        custom_code=code,
        inputs=(*match.inputs, len(tensors) - 1),
        outputs=(match.y,),
        custom_options=custom_options,
    )


def _without_dead_tensors(model: Model, graph: Graph) -> Model:
    used = set(graph.inputs) | set(graph.outputs)
    for op in graph.operators:
        used.update(i for i in (*op.inputs, *op.outputs) if i >= 0)
    order = sorted(used)
    new_index = {old: new for new, old in enumerate(order)} | {-1: -1}

    def renumber(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(new_index[i] for i in indices)

    def pairs(entries: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
        return tuple((name, new_index[i]) for name, i in entries if i in new_index)

    compact = Graph(
        tensors=tuple(graph.tensors[i] for i in order),
        operators=tuple(
            dataclasses.replace(o, inputs=renumber(o.inputs), outputs=renumber(o.outputs))
            for o in graph.operators
        ),
        inputs=renumber(graph.inputs),
        outputs=renumber(graph.outputs),
        name=graph.name,
    )
    signatures = tuple(
        Signature(s.key, pairs(s.inputs), pairs(s.outputs)) for s in model.signatures
    )
    # A plan indexes tensors, so that it dies with the old graph.
    kept = without_plan(model).metadata
    return dataclasses.replace(model, graph=compact, signatures=signatures, metadata=kept)
