# SPDX-License-Identifier: Apache-2.0
"""Many one-op models as one model for the compiled runtime, which takes one image.

The image is a line of all inputs; slices and reshapes hand them to the operators, whose outputs
are concatenated.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from converter import tflite
from converter.plan import Plan, Span
from converter.tflite.schema import schema
from tests.tflm_custom_ops.builtins import one_op
from tests.tflm_custom_ops.builtins.cases import Case

_COMMON = tflite.Quantization.per_tensor(0.5, 3)


class _Builder:
    def __init__(self, total: int) -> None:
        self.tensors: list[tflite.Tensor] = []
        self.operators: list[tflite.Operator] = []
        self.image = self.add(self.line("image", total))

    @staticmethod
    def line(name: str, count: int) -> tflite.Tensor:
        return tflite.Tensor(name, (1, 1, 1, count), np.dtype(np.int8), _COMMON)

    def add(self, tensor: tflite.Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, *values: int) -> int:
        return self.add(one_op.constant("numbers", np.array(values, np.int32)))

    def slice(self, start: int, count: int) -> int:
        options = schema.StridedSliceOptionsT()
        options.beginMask = options.endMask = options.shrinkAxisMask = 0
        options.ellipsisMask = options.newAxisMask = 0
        bounds = [
            self.constant(0, 0, 0, start),
            self.constant(1, 1, 1, start + count),
            self.constant(1, 1, 1, 1),
        ]
        y = self.add(self.line("part", count))
        inputs = (self.image, *bounds)
        kind = schema.BuiltinOptions.StridedSliceOptions
        self.operators.append(
            tflite.Operator("STRIDED_SLICE", inputs, (y,), options=options, options_type=kind)
        )
        return y

    def reshape(self, x: int, y: tflite.Tensor) -> int:
        index = self.add(y)
        self.operators.append(tflite.Operator("RESHAPE", (x,), (index,)))
        return index


def combine(cases: list[Case]) -> tuple[tflite.Model, np.ndarray]:
    """The model and its image, int8 ``[1, 1, 1, all inputs]``."""
    values = np.concatenate([x.reshape(-1) for case in cases for x in case.inputs])
    builder, start, parts = _Builder(len(values)), 0, []
    for case in cases:
        place = {}
        for i, tensor in enumerate(case.tensors):
            if i in case.model.graph.inputs:
                place[i] = builder.reshape(builder.slice(start, tensor.size), tensor)
                start += tensor.size
            else:
                place[i] = builder.add(tensor)
        op = case.operator
        moved = {"inputs": tuple(place[i] for i in op.inputs)}
        output = place[op.outputs[0]]
        builder.operators.append(dataclasses.replace(op, outputs=(output,), **moved))
        parts.append(builder.reshape(output, builder.line("out", builder.tensors[output].size)))
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = 3, 0
    y = builder.add(builder.line("all", sum(builder.tensors[i].size for i in parts)))
    kind = schema.BuiltinOptions.ConcatenationOptions
    builder.operators.append(
        tflite.Operator("CONCATENATION", tuple(parts), (y,), options=options, options_type=kind)
    )
    graph = tflite.Graph(tuple(builder.tensors), tuple(builder.operators), (builder.image,), (y,))
    return tflite.Model(graph), values.reshape(1, 1, 1, -1)


def separate_buffers(graph: tflite.Graph, free_bytes: int) -> Plan:
    """Every activation at its own place, and ``free_bytes`` that convolutions may borrow."""
    spans: list[Span | None] = []
    top = 0  # the image lives all the time; buffers that are not yet written are free, too
    for tensor in graph.tensors:
        spans.append(None if tensor.is_constant else Span(top, tensor.nbytes))
        top += 0 if tensor.is_constant else -(-tensor.nbytes // 16) * 16
    return Plan(top + free_bytes, 0, tuple(spans), (None,) * len(graph.operators))
