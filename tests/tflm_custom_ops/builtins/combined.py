# SPDX-License-Identifier: Apache-2.0
"""Many one-op models as one model for the compiled runtime: their inputs and outputs in order."""

from __future__ import annotations

import dataclasses

from converter import tflite
from converter.plan import Plan, Span
from tests.tflm_custom_ops.builtins.cases import Case


def combine(cases: list[Case]) -> tuple[tflite.Model, list]:
    """The model, and its inputs as stacks of one."""
    tensors: list[tflite.Tensor] = []
    operators, inputs, outputs, values = [], [], [], []
    for case in cases:
        start = len(tensors)
        tensors += case.tensors
        op = case.operator
        operators.append(
            dataclasses.replace(
                op,
                inputs=tuple(start + i for i in op.inputs),
                outputs=tuple(start + i for i in op.outputs),
            )
        )
        inputs += [start + i for i in case.model.graph.inputs]
        outputs += [start + i for i in op.outputs]
        values += [x[None] for x in case.inputs]
    graph = tflite.Graph(tuple(tensors), tuple(operators), tuple(inputs), tuple(outputs))
    return tflite.Model(graph), values


def separate_buffers(graph: tflite.Graph, free_bytes: int) -> Plan:
    """Every activation at its own place, and ``free_bytes`` that convolutions may borrow."""
    spans: list[Span | None] = []
    top = 0  # inputs live all the time; buffers that are not yet written are free, too
    for tensor in graph.tensors:
        spans.append(None if tensor.is_constant else Span(top, tensor.nbytes))
        top += 0 if tensor.is_constant else -(-tensor.nbytes // 16) * 16
    return Plan(top + free_bytes, 0, tuple(spans), (None,) * len(graph.operators))
