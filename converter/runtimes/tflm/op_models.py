# SPDX-License-Identifier: Apache-2.0
"""Small ``.tflite`` models made of custom operators only: for the ABI probe and for tests.

The converter makes real models; this module knows just enough of the format to put one operator,
or a chain of them, in front of TFLM.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.runtimes.tflm import model_file
from tflm_custom_ops import options


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """An activation tensor: shape, NumPy type name, and per-tensor quantization."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float = 1.0
    zero_point: int = 0


@dataclasses.dataclass(frozen=True)
class CustomOp:
    """A custom operator with inputs [previous output, blob] and one output."""

    custom_code: str
    custom_options: bytes
    blob: bytes
    output: TensorSpec


def custom_op(op: options.Op, output: TensorSpec) -> CustomOp:
    """The file form of an operator of ``tflm_custom_ops.options``."""
    custom_options, blob = options.encode(op)
    return CustomOp(options.CUSTOM_CODES[options.kind_of(op)], custom_options, blob, output)


def chain_model(
    x: TensorSpec, ops: Sequence[CustomOp], offsets: dict[int, int] | None = None
) -> bytes:
    """A model that feeds ``x`` through ``ops``, one after the other.

    Args:
      x: the model's input.
      ops: at least one operator.
      offsets: arena offset in bytes by activation number (0 is the input, i the output of
        operator i - 1), written as OfflineMemoryAllocation; None plans nothing.

    Returns:
      The ``.tflite``. Tensors 0..len(ops) are the activations, the blobs follow.
    """
    module = model_file.schema()
    model = module.ModelT()
    model.version = model_file.SCHEMA_VERSION
    model.description = "operators on their own"
    model.buffers = [module.BufferT()]
    graph = module.SubGraphT()
    graph.tensors = [
        _activation(module, f"x{i}", spec) for i, spec in enumerate([x, *(o.output for o in ops)])
    ]
    graph.inputs = np.array([0], np.int32)
    graph.outputs = np.array([len(ops)], np.int32)
    graph.operators, model.operatorCodes = [], []
    for number, op in enumerate(ops):
        buffer = module.BufferT()
        buffer.data = np.frombuffer(op.blob, np.uint8)
        model.buffers.append(buffer)
        blob = _activation(module, f"blob{number}", TensorSpec((len(op.blob),), "uint8"))
        blob.buffer, blob.quantization = len(model.buffers) - 1, None
        graph.tensors.append(blob)
        operator = module.OperatorT()
        operator.opcodeIndex = number
        operator.inputs = np.array([number, len(graph.tensors) - 1], np.int32)
        operator.outputs = np.array([number + 1], np.int32)
        operator.customOptions = np.frombuffer(op.custom_options, np.uint8)
        graph.operators.append(operator)
        code = module.OperatorCodeT()
        code.builtinCode = module.BuiltinOperator.CUSTOM
        code.deprecatedBuiltinCode = module.BuiltinOperator.CUSTOM
        code.customCode = op.custom_code
        model.operatorCodes.append(code)
    model.subgraphs = [graph]
    if offsets is not None:
        _add_plan(module, model, offsets)
    return model_file.pack_model(model)


def _activation(module: model_file.Model, name: str, spec: TensorSpec) -> model_file.Tensor:
    types = {
        "int8": module.TensorType.INT8,
        "int16": module.TensorType.INT16,
        "uint8": module.TensorType.UINT8,
        "int32": module.TensorType.INT32,
        "float32": module.TensorType.FLOAT32,
    }
    tensor = module.TensorT()
    tensor.name = name
    tensor.type = types[spec.dtype]
    tensor.shape = np.array(spec.shape, np.int32)
    tensor.buffer = 0
    tensor.quantization = module.QuantizationParametersT()
    tensor.quantization.scale = np.array([spec.scale], np.float32)
    tensor.quantization.zeroPoint = np.array([spec.zero_point], np.int64)
    return tensor


def _add_plan(module: model_file.Model, model: model_file.Model, offsets: dict[int, int]) -> None:
    count = len(model.subgraphs[0].tensors)
    words = np.full(3 + count, -1, np.int32)
    words[:3] = (1, 1, count)
    for index, offset in offsets.items():
        words[3 + index] = offset
    buffer = module.BufferT()
    buffer.data = words.view(np.uint8)
    model.buffers.append(buffer)
    entry = module.MetadataT()
    entry.name = model_file.OFFLINE_PLAN.decode()
    entry.buffer = len(model.buffers) - 1
    model.metadata = [entry]
