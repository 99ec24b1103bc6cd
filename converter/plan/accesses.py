# SPDX-License-Identifier: Apache-2.0
"""How many bytes of each buffer a model loads and stores, as its operators' schedules say."""

from __future__ import annotations

import collections

from converter.plan.lifetimes import STRIP_ID, ModelProblem, scratch_id, tensor_id
from tflm_custom_ops.ops import operator_of


def access_bytes(stated: ModelProblem) -> dict[str, float]:
    """Bytes loaded and stored in one inference, by buffer id.

    A builtin operator is taken to read its inputs and to write its outputs once; what it does with
    scratch is not known here.
    """
    graph = stated.graph
    found: dict[str, float] = collections.defaultdict(float)
    for i, (op, fused) in enumerate(zip(graph.operators, stated.ops, strict=True)):
        activations = [t for t in op.inputs if t >= 0 and not graph.tensors[t].is_constant]
        if fused is None:
            for t in (*activations, *op.outputs):
                found[tensor_id(t)] += graph.tensors[t].nbytes
            continue
        accesses = operator_of(fused).accesses
        for t, size in zip(activations, accesses.inputs, strict=True):
            is_strip = stated.streamed and t in graph.inputs
            found[STRIP_ID if is_strip else tensor_id(t)] += size
        found[tensor_id(op.outputs[0])] += accesses.output
        found[scratch_id(i)] += accesses.scratch
    return {b.id: float(found[b.id]) for b in stated.problem.buffers}
