# SPDX-License-Identifier: Apache-2.0
"""Lets TFLM run plain int8 models that have GELU, an operator it lacks.

Each builtin GELU becomes the custom operator ``VitGelu`` with the same input, output and values,
so that a plain model's accuracy and arena can be measured in TFLM. Nothing else changes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.runtimes.tflm import model_file
from converter.runtimes.tflm.errors import TflmModelError
from tflm_custom_ops import options


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
      data: any ``.tflite``; its memory plan, if it has one, is kept.

    Returns:
      The rewritten file; the same bytes if there is no GELU in it.

    Raises:
      TflmModelError: damaged file, or a GELU that is not int8 with per-tensor quantization.
    """
    module = model_file.schema()
    model = model_file.load_model(data)
    model_file.check_model(model)
    gelu_codes = {
        index
        for index, code in enumerate(model.operatorCodes)
        if max(code.builtinCode, code.deprecatedBuiltinCode) == module.BuiltinOperator.GELU
    }
    before = [len(graph.tensors) for graph in model.subgraphs]
    replaced = 0
    for graph in model.subgraphs:
        for op in graph.operators or []:
            if op.opcodeIndex in gelu_codes:
                _replace_one(module, model, graph, op)
                replaced += 1
    if not replaced:
        return data
    code = module.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = module.BuiltinOperator.CUSTOM
    code.customCode = options.CUSTOM_CODES[options.OpKind.GELU]
    model.operatorCodes.append(code)
    _extend_plan(model, before)
    return model_file.pack_model(model)


def _replace_one(module: Any, model: Any, graph: Any, op: Any) -> None:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    for tensor in (x, y):
        scale = None if tensor.quantization is None else tensor.quantization.scale
        if tensor.type != module.TensorType.INT8 or scale is None or len(scale) != 1:
            raise TflmModelError(
                f"GELU tensor '{model_file.tensor_name(tensor)}': expected int8 with one scale; "
                "quantize the model to int8 first"
            )
    table = gelu_table(
        float(x.quantization.scale[0]),
        int(x.quantization.zeroPoint[0]),
        float(y.quantization.scale[0]),
        int(y.quantization.zeroPoint[0]),
        bool(op.builtinOptions is not None and op.builtinOptions.approximate),
    )
    custom_options, blob = options.encode(options.Gelu(table))
    buffer = module.BufferT()
    buffer.data = np.frombuffer(blob, np.uint8)
    model.buffers.append(buffer)
    constant = module.TensorT()
    constant.name = f"{model_file.tensor_name(y)}/table"
    constant.type = module.TensorType.UINT8
    constant.shape = np.array([len(blob)], np.int32)
    constant.buffer = len(model.buffers) - 1
    graph.tensors.append(constant)
    op.inputs = np.array([op.inputs[0], len(graph.tensors) - 1], np.int32)
    op.opcodeIndex = len(model.operatorCodes)  # the code that replace_gelu() appends at the end
    op.builtinOptions, op.builtinOptionsType = None, module.BuiltinOptions.NONE
    op.customOptions = np.frombuffer(custom_options, np.uint8)


def _extend_plan(model: Any, before: list[int]) -> None:
    """Adds an entry of -1 to a memory plan for each tensor appended to a subgraph."""
    for item in model.metadata or []:
        if item.name not in (model_file.OFFLINE_PLAN, model_file.OFFLINE_PLAN.decode()):
            continue
        words = np.frombuffer(bytes(model.buffers[item.buffer].data), np.int32)
        header, offsets = words[:3].copy(), words[3:]
        parts, start = [], 0
        for graph, count in zip(model.subgraphs, before, strict=True):
            parts.append(offsets[start : start + count])
            parts.append(np.full(len(graph.tensors) - count, -1, np.int32))
            start += count
        header[2] = sum(len(part) for part in parts)
        model.buffers[item.buffer].data = np.concatenate([header, *parts]).view(np.uint8)
