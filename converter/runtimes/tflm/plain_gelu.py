# SPDX-License-Identifier: Apache-2.0
"""Lets TFLM run plain int8 models that have GELU, an operator it lacks.

Each builtin GELU becomes the custom operator ``VitGelu`` with the same input, output and values,
so that a plain model's accuracy and arena can be measured in TFLM. Nothing else changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converter.plan.metadata import without_plan
from converter.plan.offline import NOT_PLANNED, offline_offsets, with_offline
from converter.tflite import Operator, Tensor, TfliteError, parse, serialize
from tflm_custom_ops.ops import Gelu, encode
from tflm_custom_ops.ops.gelu.operator import GeluOperator


def _gelu(x: float, approximate: bool) -> float:
    if approximate:
        return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def gelu_table(
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
    approximate: bool,
) -> NDArray[np.int8]:
    """GELU from one int8 quantization to another, rounded half away from zero like LiteRT.

    Returns:
      int8 ``[256]``, indexed by value + 128.
    """
    table = np.empty(256, np.int8)
    for value in range(-128, 128):
        real = _gelu(input_scale * (value - input_zero_point), approximate) / output_scale
        rounded = math.floor(abs(real) + 0.5) * (1 if real >= 0 else -1) + output_zero_point
        table[value + 128] = min(max(rounded, -128), 127)
    return table


def replace_gelu(data: bytes) -> bytes:
    """Rewrites every builtin GELU of a ``.tflite`` to ``VitGelu``.

    Args:
      data: any ``.tflite``; TFLM's memory plan, if it has one, is kept.

    Returns:
      The rewritten file; the same bytes if there is no GELU in it.

    Raises:
      TfliteError: damaged file, or a GELU that is not int8 with per-tensor quantization.
      PlanError: the file's memory plan is not one for it.
    """
    model = parse(data)
    if not any(op.opcode == "GELU" for op in model.graph.operators):
        return data
    planned = offline_offsets(model)
    graph = model.graph
    tensors, operators = list(graph.tensors), []
    for op in graph.operators:
        if op.opcode == "GELU":
            custom_options, table = _vit_gelu(tensors, op)
            tensors.append(table)
            inputs = (op.inputs[0], len(tensors) - 1)
            code = GeluOperator.CODE
            op = Operator("CUSTOM", inputs, op.outputs, code, custom_options=custom_options)
        operators.append(op)
    if planned is not None:
        planned += (NOT_PLANNED,) * (len(tensors) - len(graph.tensors))
    changed = dataclasses.replace(graph, tensors=tuple(tensors), operators=tuple(operators))
    # The entry of our own names the old operators; the places are those of TFLM's.
    bare = without_plan(model)
    return serialize(with_offline(dataclasses.replace(bare, graph=changed), planned))


def _vit_gelu(tensors: Sequence[Tensor], op: Operator) -> tuple[bytes, Tensor]:
    """Options and constant of the operator that takes a GELU's place."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    for tensor in (x, y):
        if tensor.dtype != np.int8 or tensor.quantization is None:
            raise TfliteError(
                f"GELU tensor {tensor.name!r}: got {tensor.dtype}, expected int8 with one scale; "
                "quantize the model to int8 first"
            )
    approximate = bool(op.options is not None and op.options.approximate)
    table = gelu_table(x.scale, x.zero_point, y.scale, y.zero_point, approximate)
    custom_options, blob = encode(Gelu(table))
    data = np.frombuffer(blob, np.uint8)
    return custom_options, Tensor(f"{y.name}/table", data.shape, data.dtype, None, data)
