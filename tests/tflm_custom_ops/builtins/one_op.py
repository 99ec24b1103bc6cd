# SPDX-License-Identifier: Apache-2.0
"""Models of one builtin operator, and their result in the TFLM wheel's interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime

from converter import tflite
from converter.runtimes.reference import litert_interpreter
from converter.tflite.schema import schema

ARENA_BYTES = 1 << 22


def activation(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> tflite.Tensor:
    quantization = tflite.Quantization.per_tensor(scale, zero_point)
    return tflite.Tensor(name, shape, np.dtype(np.int8), quantization)


def constant(
    name: str, data: np.ndarray, scale: np.ndarray | None = None, axis: int = 0, zero_point: int = 0
) -> tflite.Tensor:
    quantization = None
    if scale is not None:
        points = np.full(len(scale), zero_point, np.int64)
        quantization = tflite.Quantization(np.asarray(scale, np.float32), points, axis)
    return tflite.Tensor(name, data.shape, data.dtype, quantization, data)


def model(
    opcode: str,
    options: Any,
    inputs: list[tflite.Tensor],
    *outputs: tflite.Tensor,
    version: int = 3,
) -> tflite.Model:
    """A model of one operator; its inputs are the tensors without data, in order."""
    tensors = (*inputs, *outputs)
    ends_at = tuple(range(len(inputs), len(tensors)))
    kind = 0
    if options is not None:
        kind = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    op = tflite.Operator(
        opcode,
        tuple(range(len(inputs))),
        ends_at,
        version=version,
        options=options,
        options_type=kind,
    )
    ends = tuple(i for i, t in enumerate(inputs) if t.data is None)
    return tflite.Model(tflite.Graph(tensors, (op,), ends, ends_at))


def run_tflm(content: tflite.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """The wheel's own results."""
    interpreter = runtime.Interpreter.from_bytes(tflite.serialize(content), arena_size=ARENA_BYTES)
    for i, x in enumerate(inputs):
        interpreter.set_input(x, i)
    interpreter.invoke()
    return [np.array(interpreter.get_output(i)) for i in range(len(content.graph.outputs))]


def run_litert(content: tflite.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """LiteRT's reference kernels."""
    interpreter = litert_interpreter(tflite.serialize(content))
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
