# SPDX-License-Identifier: Apache-2.0
"""Small ``.tflite`` models made of custom operators only: for the ABI probe and for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from converter.plan.offline import NOT_PLANNED, with_offline
from converter.tflite import Graph, Model, Operator, Quantization, Tensor, serialize
from tflm_custom_ops.ops import Params, code_of, encode


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation tensor: shape, NumPy type name, and per-tensor quantization."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float = 1.0
    zero_point: int = 0

    def tensor(self, name: str) -> Tensor:
        """The file's tensor."""
        quantization = Quantization.per_tensor(self.scale, self.zero_point)
        return Tensor(name, self.shape, np.dtype(self.dtype), quantization)


@dataclasses.dataclass(frozen=True)
class CustomOp:
    """A custom operator with inputs [previous output, blob] and one output."""

    custom_code: str
    custom_options: bytes
    blob: bytes
    output: Activation


def custom_op(op: Params, output: Activation) -> CustomOp:
    """The file form of an operator of ``tflm_custom_ops.ops``."""
    custom_options, blob = encode(op)
    return CustomOp(code_of(op), custom_options, blob, output)


def chain(
    x: Activation | Sequence[Activation],
    ops: Sequence[CustomOp],
    offsets: dict[int, int] | None = None,
) -> Model:
    """A model that feeds ``x`` through ``ops``, one after the other.

    Args:
      x: the model's input, or all inputs of the first operator where it has several.
      ops: at least one operator.
      offsets: arena offset in bytes by activation number (0 is the input, i the output of
        operator i - 1), written as OfflineMemoryAllocation; None plans nothing.

    Returns:
      The model. Tensors 0..len(ops) are the activations, further inputs of the first operator and
      the blobs follow.
    """
    first, *further = (x,) if isinstance(x, Activation) else x
    activations = [first, *(op.output for op in ops), *further]
    tensors = [spec.tensor(f"x{i}") for i, spec in enumerate(activations)]
    model_inputs = (0, *range(len(ops) + 1, len(tensors)))
    operators = []
    for number, op in enumerate(ops):
        blob = np.frombuffer(op.blob, np.uint8)
        read = (number,) if number else model_inputs
        inputs, outputs = (*read, len(tensors)), (number + 1,)
        tensors.append(Tensor(f"blob{number}", blob.shape, blob.dtype, None, blob))
        operators.append(
            Operator("CUSTOM", inputs, outputs, op.custom_code, custom_options=op.custom_options)
        )
    graph = Graph(tuple(tensors), tuple(operators), model_inputs, (len(ops),))
    model = Model(graph, "operators on their own")
    if offsets is None:
        return model
    return with_offline(model, [offsets.get(i, NOT_PLANNED) for i in range(len(tensors))])


def chain_model(
    x: Activation | Sequence[Activation],
    ops: Sequence[CustomOp],
    offsets: dict[int, int] | None = None,
) -> bytes:
    """The same as a file."""
    return serialize(chain(x, ops, offsets))
