# SPDX-License-Identifier: Apache-2.0
"""What builtin operators of a network cost: flash, and an estimate of instructions.

Convolutions are counted in pieces of kernel code (tflm_custom_ops/builtins/conv_work.py). The
other kernels are loops of plain C; what an element of theirs takes was fitted to counts of the
emulated Cortex-M7 (tests/nas/cost/test_staged_cost.py compares), 4 % off at most for an operator.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from converter.code_size import ModelCall
from converter.compile.builtin import KERNELS
from converter.compile.convolution import convolution_call, convolution_constant_bytes
from converter.compile.moves import COPY as COPY_FUNCTION
from converter.compile.moves import COPY_STRUCT
from converter.compile.weights import stored_bytes
from converter.tflite import Graph, Operator, Tensor
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.conv_work import StemConvolution
from tflm_custom_ops.ops.layouts import WeightLayout, is_small

# Instructions of an element, and of what stands around it.
ADD_ELEMENT, ADD_ROW = 87.3, 25.0
TAP, DEPTHWISE_OUTPUT = 23.8, 89.5
MEAN_ELEMENT, MEAN_OUTPUT = 6.0, 43.0
COPY_CALL, COPY_BLOCK, COPY_BYTE = 60.0, 38.0, 0.55

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class BuiltinCost:
    """One operator.

    Attributes:
      instructions: 0 for a convolution, whose work depends on its scratch.
      weight_bytes: that a run reads.
    """

    name: str
    call: ModelCall
    constant_bytes: int = 0
    instructions: float = 0.0
    weight_bytes: int = 0
    convolution: StemConvolution | None = None


def builtin_cost(graph: Graph, operator: Operator) -> BuiltinCost:
    """Of an operator of a weightless graph (`converter.plan.weightless`)."""
    inputs = [graph.tensors[i] for i in operator.inputs]
    shapes = [t.shape for t in inputs if not t.is_constant]
    constants = [t for t in inputs if t.is_constant]
    output = graph.tensors[operator.outputs[0]].shape
    return _COSTS[operator.name](operator.name, shapes, constants, output)


def _kernel(name: str, params: type) -> ModelCall:
    kernel = KERNELS[params]
    return ModelCall(name, (kernel.function,), kernel.ctype)


def _layout(weights: Tensor) -> WeightLayout:
    """Of a weightless layer, whose weights are all the same number."""
    assert weights.data is not None
    one = weights.data[:1, :1, :1, :1]
    return WeightLayout.QUADS4 if is_small(one) else WeightLayout.PAIRS8


def _convolution(
    name: str, inputs: list[Shape], constants: list[Tensor], output: Shape
) -> BuiltinCost:
    (_, side, _, channels), (outputs, kernel, _, _) = inputs[0], constants[0].shape
    layout = _layout(constants[0])
    found = StemConvolution(side, channels, kernel, side // output[1], outputs, layout)
    stored = convolution_constant_bytes(outputs, found.features, layout)
    return BuiltinCost(name, convolution_call(name, layout), stored, convolution=found)


def _depthwise(
    name: str, inputs: list[Shape], constants: list[Tensor], output: Shape
) -> BuiltinCost:
    (_, side, _, channels), (_, kernel, _, _) = inputs[0], constants[0].shape
    inside = StemConvolution(side, channels, kernel, side // output[1], channels).inside
    taps = inside**2 * channels
    work = TAP * taps + DEPTHWISE_OUTPUT * math.prod(output)
    stored = stored_bytes(kernel**2 * channels) + 3 * stored_bytes(4 * channels)
    return BuiltinCost(name, _kernel(name, p.DepthwiseConv2D), stored, work, taps)


def _add(name: str, inputs: list[Shape], constants: list[Tensor], output: Shape) -> BuiltinCost:
    size = math.prod(output)
    work = ADD_ELEMENT * size + ADD_ROW * size / output[-1]
    stored = sum(stored_bytes(math.prod(each.shape)) for each in constants)
    return BuiltinCost(name, _kernel(name, p.Add), stored, work, stored)


def _mean(name: str, inputs: list[Shape], constants: list[Tensor], output: Shape) -> BuiltinCost:
    work = MEAN_ELEMENT * math.prod(inputs[0]) + MEAN_OUTPUT * math.prod(output)
    return BuiltinCost(name, _kernel(name, p.Mean), instructions=work)


def _reshape(name: str, inputs: list[Shape], constants: list[Tensor], output: Shape) -> BuiltinCost:
    return BuiltinCost(name, ModelCall(name, (), ""))  # over its input


def _copies(name: str, blocks: int, size: int, moves: int = 1) -> BuiltinCost:
    work = moves * COPY_CALL + COPY_BLOCK * blocks + COPY_BYTE * size
    return BuiltinCost(name, ModelCall(name, (COPY_FUNCTION,), COPY_STRUCT, moves), 0, work)


def _transpose(
    name: str, inputs: list[Shape], constants: list[Tensor], output: Shape
) -> BuiltinCost:
    """Of dimensions before the last."""
    return _copies(name, math.prod(output[:-1]), math.prod(output))


def _runs(part: Shape, whole: Shape) -> int:
    """Pieces of a tensor in which a part of it lies that is smaller in one dimension."""
    axis = next((i for i, (a, b) in enumerate(zip(part, whole, strict=True)) if a != b), 0)
    return math.prod(part[:axis])


def _slice(name: str, inputs: list[Shape], constants: list[Tensor], output: Shape) -> BuiltinCost:
    return _copies(name, _runs(output, inputs[0]), math.prod(output))


def _concatenation(
    name: str, inputs: list[Shape], constants: list[Tensor], output: Shape
) -> BuiltinCost:
    blocks = sum(_runs(part, output) for part in inputs)
    return _copies(name, blocks, math.prod(output), len(inputs))


_COSTS: dict[str, Callable[[str, list[Shape], list[Tensor], Shape], BuiltinCost]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "ADD": _add,
    "MEAN": _mean,
    "RESHAPE": _reshape,
    "TRANSPOSE": _transpose,
    "STRIDED_SLICE": _slice,
    "CONCATENATION": _concatenation,
}
