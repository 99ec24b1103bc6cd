# SPDX-License-Identifier: Apache-2.0
"""Models made by hand for the TFLM tests: no TensorFlow needed, every byte known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converter.runtimes.tflm import model_file


@dataclasses.dataclass(frozen=True)
class Builtin:
    """A builtin operator with one int8 input and one int8 output of the same shape."""

    name: str  # of schema BuiltinOperator
    options: str | None = None  # of schema BuiltinOptions
    scale: float = 1 / 256
    zero_point: int = -128


def build_plain(shape: tuple[int, ...], ops: list[Builtin], scale: float = 0.05) -> bytes:
    """A chain of builtin int8 operators."""
    module = model_file.schema()
    model = module.ModelT()
    model.version, model.buffers = 3, [module.BufferT()]
    graph = module.SubGraphT()
    graph.tensors, graph.operators, model.operatorCodes = [], [], []

    def tensor(name: str, tensor_scale: float, zero_point: int) -> None:
        item = module.TensorT()
        item.name, item.type, item.buffer = name, module.TensorType.INT8, 0
        item.shape = np.array(shape, np.int32)
        item.quantization = module.QuantizationParametersT()
        item.quantization.scale = np.array([tensor_scale], np.float32)
        item.quantization.zeroPoint = np.array([zero_point], np.int64)
        graph.tensors.append(item)

    tensor("x", scale, 3)
    for number, op in enumerate(ops):
        tensor(f"y{number}", op.scale, op.zero_point)
        code = module.OperatorCodeT()
        code.builtinCode = getattr(module.BuiltinOperator, op.name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        model.operatorCodes.append(code)
        operator = module.OperatorT()
        operator.opcodeIndex = number
        operator.inputs = np.array([number], np.int32)
        operator.outputs = np.array([number + 1], np.int32)
        if op.options:
            operator.builtinOptionsType = getattr(module.BuiltinOptions, op.options)
            operator.builtinOptions = getattr(module, f"{op.options}T")()
        graph.operators.append(operator)
    graph.inputs = np.array([0], np.int32)
    graph.outputs = np.array([len(ops)], np.int32)
    model.subgraphs = [graph]
    return model_file.pack_model(model)


@pytest.fixture(scope="session")
def plain_model() -> Callable[..., bytes]:
    """``plain_model(shape, [(name, options), ...])`` -> a ``.tflite`` of builtin operators."""

    def make(shape: tuple[int, ...], ops: list[tuple[Any, ...]]) -> bytes:
        return build_plain(shape, [Builtin(*op) for op in ops])

    return make
