# SPDX-License-Identifier: Apache-2.0
"""How many bytes of each buffer a model loads and stores, as its operators' schedules say."""

from __future__ import annotations

import collections
from collections.abc import Iterator

from converter.plan.lifetimes import STRIP_ID, ModelProblem, scratch_id, tensor_id
from converter.tflite.model import Graph, Operator
from tflm_custom_ops.ops import operator_of
from tflm_custom_ops.ops.access import Accesses


def activations_read(graph: Graph, op: Operator, accesses: Accesses) -> Iterator[tuple[int, int]]:
    """(tensor, bytes loaded) of what a fused operator reads and the arena holds: a constant among
    its inputs, as a learned query is, lies with the weights."""
    for t, size_bytes in zip(op.inputs[:-1], accesses.inputs, strict=True):
        if not graph.tensors[t].is_constant:
            yield t, size_bytes


def access_bytes(stated: ModelProblem) -> dict[str, float]:
    """Bytes loaded and stored in one inference, by buffer id.

    A builtin operator is taken to read its inputs and to write its outputs once; what it does with
    scratch is not known here.
    """
    graph = stated.graph
    found: dict[str, float] = collections.defaultdict(float)
    for i, (op, fused) in enumerate(zip(graph.operators, stated.ops, strict=True)):
        if fused is None:
            activations = [t for t in op.inputs if t >= 0 and not graph.tensors[t].is_constant]
            for t in (*activations, *op.outputs):
                found[tensor_id(t)] += graph.tensors[t].nbytes
            continue
        accesses = operator_of(fused).accesses
        for t, size in activations_read(graph, op, accesses):
            is_strip = stated.streamed and t in graph.inputs
            found[STRIP_ID if is_strip else tensor_id(t)] += size
        found[tensor_id(op.outputs[0])] += accesses.output
        found[scratch_id(i)] += accesses.scratch
    return {b.id: float(found[b.id]) for b in stated.problem.buffers}
