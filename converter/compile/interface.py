# SPDX-License-Identifier: Apache-2.0
"""The interface of a compiled model: its inputs and outputs, read from the file."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from converter.compile.errors import CompileError
from converter.compile.planned import PlannedGraph
from converter.contract import Stated
from converter.contract.classifier import takes_planes
from converter.plan.layout import Plan
from converter.tflite import Graph
from keras_models.tasks.boxes import MOST_TOKENS, FixedBoxes, fixed
from keras_models.text.subwords import Vocabulary

STREAM_STATE_BYTES = 16  # of the streaming functions, at the end of the arena
MAX_RANK = 6
LARGEST_ROW_BYTES = 1024  # of an input that is no image
C_TYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.int8): "VIT_MODEL_INT8",
    np.dtype(np.uint8): "VIT_MODEL_UINT8",
    np.dtype(np.int16): "VIT_MODEL_INT16",
    np.dtype(np.int32): "VIT_MODEL_INT32",
    np.dtype(np.int64): "VIT_MODEL_INT64",
    np.dtype(np.float32): "VIT_MODEL_FLOAT32",
    np.dtype(np.bool_): "VIT_MODEL_BOOL",
}


@dataclasses.dataclass(frozen=True)
class TensorInterface:
    """An input or output of the compiled model.

    Attributes:
      name, shape, dtype: as in the file.
      size_bytes: of all elements.
      scale, zero_point: None where it is not quantized.
      offset: of the arena; None for a streamed image.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size_bytes: int
    scale: float | None
    zero_point: int | None
    offset: int | None

    @property
    def is_picture(self) -> bool:
        """Whether it is one of more than one pixel, [1, height, width, values]."""
        return len(self.shape) == 4 and self.shape[0] == 1 and self.shape[1] * self.shape[2] > 1


@dataclasses.dataclass(frozen=True)
class ImageInterface:
    """What an image classifier publishes: one int8 image in, one int8 tensor out."""

    height: int
    width: int
    channels: int
    classes: int
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int


@dataclasses.dataclass(frozen=True)
class Interface:
    """What the header publishes; sizes in bytes.

    Attributes:
      arena_bytes: that the application provides.
      op_count: number of operators.
      streamed: the image is pushed row by row.
      inputs, outputs: in the file's order.
      image: None unless the model is an image classifier.
      class_names: of the outputs of an image classifier, or of one that takes a question besides;
        () where the file does not say them.
      boxes: how a detector's outputs become boxes; None of others.
      vocabulary: that cuts a text into the input's tokens; None where they are no sub-words.
    """

    arena_bytes: int
    op_count: int
    streamed: bool
    inputs: tuple[TensorInterface, ...]
    outputs: tuple[TensorInterface, ...]
    image: ImageInterface | None
    class_names: tuple[str, ...] = ()
    boxes: FixedBoxes | None = None
    vocabulary: Vocabulary | None = None

    @property
    def input_bytes(self) -> int:
        """All inputs together."""
        return sum(t.size_bytes for t in self.inputs)

    @property
    def output_bytes(self) -> int:
        """All outputs together."""
        return sum(t.size_bytes for t in self.outputs)


def arena_bytes(plan: Plan) -> int:
    """Bytes that the application provides: the plan's arena and the streaming state."""
    return plan.arena_bytes + (STREAM_STATE_BYTES if plan.streamed else 0)


def _tensor(planned: PlannedGraph, index: int, what: str) -> TensorInterface:
    tensor = planned.graph.tensors[index]
    if tensor.dtype not in C_TYPES:
        raise CompileError(
            f"model {what} {tensor.name}: got {tensor.dtype}, expected one of "
            f"{', '.join(t.name for t in C_TYPES)}"
        )
    if len(tensor.shape) > MAX_RANK:
        raise CompileError(
            f"model {what} {tensor.name}: got shape {list(tensor.shape)}, expected at most "
            f"{MAX_RANK} dimensions"
        )
    if tensor.is_constant:
        raise CompileError(f"model {what} {tensor.name}: got a constant, expected an activation")
    scale = zero_point = None
    if tensor.quantization is not None and tensor.dtype.kind in "iu":
        if len(tensor.quantization.scale) != 1:
            raise CompileError(f"model {what} {tensor.name}: got several scales, expected one")
        scale, zero_point = tensor.scale, tensor.zero_point
    offset = None if index == planned.image else planned.span(index).offset
    return TensorInterface(
        tensor.name, tensor.shape, tensor.dtype, tensor.nbytes, scale, zero_point, offset
    )


def image_of(graph: Graph) -> ImageInterface | None:
    """The image that a graph classifies; None where it does something else."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or takes_planes(graph):
        return None
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if not x.dtype == y.dtype == np.int8 or len(x.shape) != 4 or x.shape[0] != 1:
        return None
    if any(t.quantization is None or len(t.quantization.scale) != 1 for t in (x, y)):
        return None
    return ImageInterface(*x.shape[1:], y.nbytes, x.scale, x.zero_point, y.scale, y.zero_point)


def row_bytes(image: ImageInterface | None, input_bytes: int) -> int:
    """The piece in which the firmware takes the input: an image's row, or at most 1 KiB."""
    if image is not None:
        return image.width * image.channels
    pieces = range(1, min(input_bytes, LARGEST_ROW_BYTES) + 1)
    return max((n for n in pieces if input_bytes % n == 0), default=1)


def _boxes_of(stated: Stated, image: ImageInterface | None, shape: tuple[int, ...]) -> FixedBoxes:
    """Of a detector with this output."""
    if image is None or len(shape) != 4 or shape[3] < 5 or max(shape[1:3]) > MOST_TOKENS:
        raise CompileError(
            f"task {stated.task.name}: got an output {list(shape)}, expected int8 [1, height, "
            f"width, 4 + classes] of at most {MOST_TOKENS} x {MOST_TOKENS} tokens of an image"
        )
    try:
        return fixed(image.output_scale, image.output_zero_point)
    except ValueError as error:
        raise CompileError(str(error)) from error


def interface_of(planned: PlannedGraph, stated: Stated | None = None) -> Interface:
    """Reads the interface from the model, and from what its file says.

    Raises:
      CompileError: an input or output of a type or rank that the header cannot express, or an
        output that cannot be boxes though the file says so.
    """
    stated = stated or Stated()
    graph = planned.graph
    inputs = tuple(_tensor(planned, i, "input") for i in graph.inputs)
    outputs = tuple(_tensor(planned, i, "output") for i in graph.outputs)
    if not inputs:
        raise CompileError("got a model without inputs, expected at least one")
    image = image_of(graph)
    named = image is not None or stated.task.asked is not None
    classes = math.prod(outputs[0].shape) if outputs else 0
    return Interface(
        arena_bytes(planned.plan),
        len(graph.operators),
        planned.plan.streamed,
        inputs,
        outputs,
        image,
        stated.class_names if named and len(stated.class_names) == classes else (),
        _boxes_of(stated, image, outputs[0].shape) if stated.task.boxes is not None else None,
        None if planned.plan.streamed else stated.vocabulary,
    )
