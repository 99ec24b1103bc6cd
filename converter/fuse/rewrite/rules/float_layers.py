# SPDX-License-Identifier: Apache-2.0
"""A float layer between DEQUANTIZE and QUANTIZE becomes the int8 layer, if 8 bits hold its weights.

Training with fake quantization (tfmot, or by hand) leaves a layer in float whose input no quantizer
was put before (a LayerNorm's result), and each Dense of tokens whose bias it adds behind a RESHAPE.
The weights are multiples of a step all the same, of one for each output or one for all.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import RESHAPES, fused_activation
from converter.fuse.rewrite.building import Builder, is_int8, single_reader
from converter.fuse.rewrite.engine import Edit, Rule
from converter.fuse.rewrite.rules.float_arithmetic import steps_of
from converter.tflite import GraphView, Quantization, Tensor
from converter.tflite.schema import schema

LAYER = "FULLY_CONNECTED"
_VERSION = 4  # the least whose operands may be int8 (TensorFlow Lite's op_version.cc)
_LARGEST_BIAS = 2**31 - 1
_LONGEST = 6  # operators from the layer to the QUANTIZE
_RELUS = ("RELU", "RELU6")


@dataclasses.dataclass(frozen=True, eq=False)
class FloatLayer:
    """A layer in float, and what is behind it up to a QUANTIZE.

    Attributes:
      ops: from the FULLY_CONNECTED to the QUANTIZE.
      steps: [outputs] of its weights.
      bias: [outputs] real numbers; None without one.
      activation: by its name, "NONE" if there is none.
      result: the int8 tensor.
    """

    ops: tuple[int, ...]
    steps: NDArray[np.float32]
    bias: NDArray[np.float64] | None
    activation: str
    result: int


def float_layer(view: GraphView, op: int) -> FloatLayer | None:
    """The layer at a FULLY_CONNECTED of float input; None where 8 bits do not hold its weights."""
    steps = _weight_steps(view, op)
    if steps is None:
        return None
    operator = view.op(op)
    biases = [view.tensor(i) for i in operator.inputs[2:] if i >= 0]
    if any(b.data is None or b.dtype != np.float32 for b in biases):
        return None
    bias = biases[0].real().reshape(-1) if biases else None
    found = FloatLayer((op,), steps, bias, fused_activation(operator), operator.outputs[0])
    while len(found.ops) < _LONGEST:
        reader = single_reader(view, found.result)
        if reader is None:
            return None
        if view.op(reader).opcode == "QUANTIZE":
            (result,) = view.op(reader).outputs
            end = dataclasses.replace(found, ops=(*found.ops, reader), result=result)
            return end if is_int8(view.tensor(result)) else None
        step = _step_behind(view, found, reader)
        if step is None:
            return None
        found = step
    return None


def _step_behind(view: GraphView, layer: FloatLayer, reader: int) -> FloatLayer | None:
    """With a RESHAPE of rows, the bias or the activation behind it; None for anything else."""
    operator, count = view.op(reader), len(layer.steps)
    (y,) = operator.outputs
    longer = dataclasses.replace(layer, ops=(*layer.ops, reader), result=y)
    if operator.opcode in RESHAPES:
        return longer if view.tensor(y).shape[-1:] == (count,) else None
    if layer.activation != "NONE":
        return None
    if operator.opcode in _RELUS:
        return dataclasses.replace(longer, activation=operator.opcode)
    others = [view.tensor(i) for i in operator.inputs if i != layer.result]
    if operator.opcode != "ADD" or len(others) != 1 or layer.bias is not None:
        return None
    (other,) = others
    if other.data is None or other.dtype != np.float32 or other.shape[-1:] != (other.size,):
        return None
    if other.size != count:
        return None
    activation = fused_activation(operator)
    return dataclasses.replace(longer, bias=other.real().reshape(-1), activation=activation)


def _weight_steps(view: GraphView, op: int) -> NDArray[np.float32] | None:
    """The step of each output's weights [outputs]; None where 8 bits do not hold them."""
    operator = view.op(op)
    if operator.opcode != LAYER or len(operator.inputs) < 2:
        return None
    data = view.tensor(operator.inputs[1]).data
    if data is None or data.dtype != np.float32 or data.ndim != 2:
        return None
    whole = steps_of(data)
    if whole is not None:
        return np.full(len(data), whole, np.float32)
    rows = [_step_of_row(row) for row in data]
    found = [step for step in rows if step is not None]
    return np.array(found, np.float32) if len(found) == len(rows) else None


def _step_of_row(row: NDArray[np.float32]) -> float | None:
    """A row of zeros has any step."""
    return steps_of(row) if np.any(row) else 1.0


def _apply(view: GraphView, op: int) -> Edit | None:
    operator = view.op(op)
    source = view.producer(operator.inputs[0])
    if source is None or view.op(source).opcode != "DEQUANTIZE":
        return None
    (x,) = view.op(source).inputs
    layer = float_layer(view, op) if is_int8(view.tensor(x)) else None
    if layer is None:
        return None
    b, weights = Builder(view), view.tensor(operator.inputs[1])
    zeros = np.zeros(len(layer.steps), np.int64)
    integers = np.rint(weights.real() / layer.steps[:, None]).astype(np.int8)
    inputs = [x, b.constant(integers, f"{weights.name}/int8", Quantization(layer.steps, zeros, 0))]
    if layer.bias is not None:
        unit = layer.steps * np.float32(view.tensor(x).scale)
        units = np.rint(layer.bias / unit.astype(np.float64))
        if np.max(np.abs(units)) > _LARGEST_BIAS:
            return None
        q = Quantization(unit, zeros, 0)
        inputs.append(b.constant(units.astype(np.int32), f"{weights.name}/bias", q))
    y, result = view.tensor(operator.outputs[0]), view.tensor(layer.result)
    rows = layer.result
    if y.shape != result.shape:
        rows = b.tensor(Tensor(f"{result.name}/rows", y.shape, result.dtype, result.quantization))
    options: Any = copy.copy(operator.options)
    options.fusedActivationFunction = getattr(schema.ActivationFunctionType, layer.activation)
    new = dataclasses.replace(
        operator,
        inputs=tuple(inputs),
        outputs=(rows,),
        options=options,
        version=max(operator.version, _VERSION),
    )
    b.operators.append(new)
    if rows != layer.result:
        b.reshape(rows, result.shape, layer.result)
    return Edit(layer.ops, tuple(b.operators), tuple(b.tensors))


RULE = Rule(
    "float_layers",
    "makes a FULLY_CONNECTED in float (with its bias and activation), between DEQUANTIZE and "
    "QUANTIZE, whose weights are multiples of steps that 8 bits count, the int8 layer",
    frozenset({LAYER}),
    _apply,
)
