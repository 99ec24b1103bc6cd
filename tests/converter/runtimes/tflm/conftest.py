# SPDX-License-Identifier: Apache-2.0
"""Models made by hand for the TFLM tests: no TensorFlow needed, every byte known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from converter.tflite.schema import schema


@dataclasses.dataclass(frozen=True)
class Builtin:
    """A builtin operator with one int8 input and one int8 output of the same shape."""

    name: str  # of schema BuiltinOperator
    options: str | None = None  # of schema BuiltinOptions
    scale: float = 1 / 256
    zero_point: int = -128


def build_plain(shape: tuple[int, ...], ops: list[Builtin], scale: float = 0.05) -> bytes:
    """A chain of builtin int8 operators."""
    tensors = [_int8("x", shape, scale, 3)]
    operators = []
    for number, op in enumerate(ops):
        tensors.append(_int8(f"y{number}", shape, op.scale, op.zero_point))
        kind = 0 if op.options is None else getattr(schema.BuiltinOptions, op.options)
        value = None if op.options is None else getattr(schema, f"{op.options}T")()
        operators.append(
            Operator(op.name, (number,), (number + 1,), options=value, options_type=kind)
        )
    graph = Graph(tuple(tensors), tuple(operators), (0,), (len(ops),))
    return serialize(Model(graph))


def _int8(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> Tensor:
    quantization = Quantization.per_tensor(scale, zero_point)
    return Tensor(name, shape, np.dtype(np.int8), quantization)


@pytest.fixture(scope="session")
def plain_model() -> Callable[..., bytes]:
    """``plain_model(shape, [(name, options), ...])`` -> a ``.tflite`` of builtin operators."""

    def make(shape: tuple[int, ...], ops: list[tuple[Any, ...]]) -> bytes:
        return build_plain(shape, [Builtin(*op) for op in ops])

    return make
