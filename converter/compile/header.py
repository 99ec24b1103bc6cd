# SPDX-License-Identifier: Apache-2.0
"""``vit_model.h``: the interface of a compiled model."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from converter.compile import c_text
from converter.compile.errors import CompileError
from converter.compile.planned import PlannedGraph
from converter.plan.layout import Plan

STREAM_STATE_BYTES = 16  # of the streaming functions, at the end of the arena
MAX_RANK = 6
CLASS_NAME_BYTES = 48
_FRAME_BYTES = str.maketrans("}~", "??")
_LARGEST_ROW_BYTES = 1024
_TYPES: dict[np.dtype[Any], str] = {
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
      class_names: of an image classifier's outputs; () where the file does not say them.
    """

    arena_bytes: int
    op_count: int
    streamed: bool
    inputs: tuple[TensorInterface, ...]
    outputs: tuple[TensorInterface, ...]
    image: ImageInterface | None
    class_names: tuple[str, ...] = ()

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
    if tensor.dtype not in _TYPES:
        raise CompileError(
            f"model {what} {tensor.name}: got {tensor.dtype}, expected one of "
            f"{', '.join(t.name for t in _TYPES)}"
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


def _image(
    inputs: tuple[TensorInterface, ...], outputs: tuple[TensorInterface, ...]
) -> ImageInterface | None:
    if len(inputs) != 1 or len(outputs) != 1:
        return None
    (x,), (y,) = inputs, outputs
    if not x.dtype == y.dtype == np.int8 or len(x.shape) != 4 or x.shape[0] != 1:
        return None
    if x.scale is None or x.zero_point is None or y.scale is None or y.zero_point is None:
        return None
    return ImageInterface(*x.shape[1:], y.size_bytes, x.scale, x.zero_point, y.scale, y.zero_point)


def interface_of(planned: PlannedGraph, class_names: tuple[str, ...] = ()) -> Interface:
    """Reads the interface from the model, but for the names of its classes.

    Raises:
      CompileError: an input or output of a type or rank that the header cannot express.
    """
    graph = planned.graph
    inputs = tuple(_tensor(planned, i, "input") for i in graph.inputs)
    outputs = tuple(_tensor(planned, i, "output") for i in graph.outputs)
    if not inputs:
        raise CompileError("got a model without inputs, expected at least one")
    image = _image(inputs, outputs)
    return Interface(
        arena_bytes(planned.plan),
        len(graph.operators),
        planned.plan.streamed,
        inputs,
        outputs,
        image,
        class_names if image is not None and len(class_names) == image.classes else (),
    )


_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Generated by converter.compile; do not edit.
//
// One inference on one arena of VIT_MODEL_ARENA_BYTES bytes, 16-byte aligned. The functions keep
// no state outside the arena: several arenas may run at once (not in a -DVIT_MODEL_DEBUG build).
#ifndef VIT_MODEL_H_
#define VIT_MODEL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
"""

_COMMON = """\
// Names of the operators, for profiles.
extern const char* const vit_model_op_names[VIT_MODEL_OP_COUNT];

// Called before (end = 0) and after (end = 1) each operator; may be NULL.
typedef void (*VitOpHook)(void* context, int op_index, int end);

// Inputs and outputs, in the model's order.
typedef enum {
  VIT_MODEL_INT8,
  VIT_MODEL_UINT8,
  VIT_MODEL_INT16,
  VIT_MODEL_INT32,
  VIT_MODEL_INT64,
  VIT_MODEL_FLOAT32,
  VIT_MODEL_BOOL,
} VitModelType;

#define VIT_MODEL_NOT_IN_ARENA UINT32_MAX  // of a streamed image

typedef struct {
  const char* name;
  int32_t type;  // VitModelType
  int32_t rank;
  int32_t shape[VIT_MODEL_MAX_RANK];
  uint32_t bytes;
  uint32_t offset;  // of the arena
  float scale;      // real = scale * (q - zero_point); 0 where it is not quantized
  int32_t zero_point;
} VitModelTensor;

extern const VitModelTensor vit_model_inputs[VIT_MODEL_INPUT_COUNT];
extern const VitModelTensor vit_model_outputs[VIT_MODEL_OUTPUT_COUNT];
"""

_RESIDENT = """\
// Where the caller writes the image, int8 [height][width][channels], before each inference: an
// inference overwrites it.
int8_t* vit_model_input(uint8_t* arena);

// int8 [VIT_MODEL_OUTPUT_BYTES]; valid from the end of an inference to the start of the next.
const int8_t* vit_model_output(const uint8_t* arena);

void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context);
"""

_TENSORS = """\
// The caller writes each input at arena + vit_model_inputs[i].offset before each inference, which
// overwrites them, and reads each output at arena + vit_model_outputs[i].offset until the next.
void vit_model_invoke(uint8_t* arena, VitOpHook hook, void* context);
"""

_STREAMED = """\
// Results of the streaming functions.
#define VIT_MODEL_OK 0
#define VIT_MODEL_ERROR_NOT_BEGUN 1      // no vit_model_begin() before, or already finished
#define VIT_MODEL_ERROR_TOO_MANY_ROWS 2  // more rows than the image has; nothing was consumed
#define VIT_MODEL_ERROR_TOO_FEW_ROWS 3   // finished before the last row; push the rest first

// The image is pushed as the camera delivers it: begin, then any number of rows at a time from
// the top, int8 [row_count][width][channels], then finish. A strip of rows is embedded as soon as
// it is complete, so the hook sees operator 0 once per strip.
int vit_model_begin(uint8_t* arena);
int vit_model_push_rows(uint8_t* arena, const int8_t* rows, int row_count, VitOpHook hook,
                        void* context);
int vit_model_finish(uint8_t* arena, VitOpHook hook, void* context);

// int8 [VIT_MODEL_OUTPUT_BYTES]; valid from vit_model_finish() to the next vit_model_begin().
const int8_t* vit_model_output(const uint8_t* arena);
"""

_TAIL = """\
#ifdef __cplusplus
}
#endif
#endif  // VIT_MODEL_H_
"""


def _row_bytes(interface: Interface) -> int:
    """The piece in which the firmware takes the input: an image's row, or at most 1 KiB."""
    if interface.image is not None:
        return interface.image.width * interface.image.channels
    total = interface.input_bytes
    return max(n for n in range(1, min(total, _LARGEST_ROW_BYTES) + 1) if total % n == 0)


def _image_defines(image: ImageInterface) -> list[tuple[str, str]]:
    return [
        ("IMAGE_HEIGHT", str(image.height)),
        ("IMAGE_WIDTH", str(image.width)),
        ("IMAGE_CHANNELS", str(image.channels)),
        ("CLASSES", str(image.classes)),
        ("INPUT_SCALE", c_text.float32(image.input_scale)),
        ("INPUT_ZERO_POINT", _signed(image.input_zero_point)),
        ("OUTPUT_SCALE", c_text.float32(image.output_scale)),
        ("OUTPUT_ZERO_POINT", _signed(image.output_zero_point)),
    ]


_CLASS_NAMES = """\
// Names of the classes in the order of the outputs, at most {bytes} bytes each; braces that close,
// tildes and what is not ASCII are question marks.
#define VIT_MODEL_HAS_CLASS_NAMES 1
extern const char* const vit_model_class_names[VIT_MODEL_CLASSES];
"""


def class_names_text(class_names: tuple[str, ...]) -> str:
    """C that defines ``vit_model_class_names``; nothing without names."""
    if not class_names:
        return ""
    # '}' and '~' begin and escape frames on the line between a board and its client.
    shown = [name.translate(_FRAME_BYTES)[:CLASS_NAME_BYTES] for name in class_names]
    lines = [f"    {c_text.string(name)}," for name in shown]
    table = "const char* const vit_model_class_names[VIT_MODEL_CLASSES] = {"
    return "\n".join(["// clang-format off", table, *lines, "};", "// clang-format on", ""])


def class_names_bytes(class_names: tuple[str, ...]) -> int:
    """Flash that they take: the texts and a table of pointers of 4 bytes."""
    return sum(min(len(name), CLASS_NAME_BYTES) + 1 + 4 for name in class_names)


def header_text(interface: Interface) -> str:
    """The whole file."""
    i = interface
    row_bytes = _row_bytes(i)
    defines = [
        ("ARENA_BYTES", str(i.arena_bytes)),
        ("INPUT_BYTES", str(i.input_bytes)),
        ("OUTPUT_BYTES", str(i.output_bytes)),
        ("OP_COUNT", str(i.op_count)),
        ("STREAMED", str(int(i.streamed))),
        ("INPUT_COUNT", str(len(i.inputs))),
        ("OUTPUT_COUNT", str(len(i.outputs))),
        ("ROW_BYTES", str(row_bytes)),
        ("ROW_COUNT", str(i.input_bytes // row_bytes)),
        ("MAX_RANK", str(MAX_RANK)),
        ("IS_IMAGE", str(int(i.image is not None))),
        *(() if i.image is None else _image_defines(i.image)),
    ]
    numbers = "\n".join(f"#define VIT_MODEL_{name} {value}" for name, value in defines)
    if i.image is None:
        calls = _TENSORS
    else:
        calls = _STREAMED if i.streamed else _RESIDENT
    names = [_CLASS_NAMES.format(bytes=CLASS_NAME_BYTES)] if i.class_names else []
    return "\n".join([_HEAD, numbers + "\n", _COMMON, *names, calls, _TAIL])


def _tensor_text(tensor: TensorInterface, name: str) -> str:
    shape = ", ".join(str(n) for n in tensor.shape) or "0"
    values = (
        name,
        _TYPES[tensor.dtype],
        str(len(tensor.shape)),
        f"{{{shape}}}",
        str(tensor.size_bytes),
        "VIT_MODEL_NOT_IN_ARENA" if tensor.offset is None else str(tensor.offset),
        c_text.float32(0.0 if tensor.scale is None else tensor.scale),
        str(tensor.zero_point or 0),
    )
    return f"    {{{', '.join(values)}}},"


def tensor_tables(interface: Interface) -> list[str]:
    """C lines that define ``vit_model_inputs`` and ``vit_model_outputs``.

    Names are arrays, not literals: a linker drops those of a table that nobody reads.
    """
    lines = ["// clang-format off"]
    for what, tensors in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs)):
        names = [f"k{what.title()}{i}" for i in range(len(tensors))]
        pairs = list(zip(tensors, names, strict=True))
        lines += [f"static const char {n}[] = {c_text.string(t.name)};" for t, n in pairs]
        table = f"vit_model_{what.lower()}s[VIT_MODEL_{what}_COUNT]"
        lines += [f"const VitModelTensor {table} = {{"]
        lines += [*(_tensor_text(t, n) for t, n in pairs), "};"]
    return [*lines, "// clang-format on", ""]


def _signed(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"
