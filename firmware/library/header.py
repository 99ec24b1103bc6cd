# SPDX-License-Identifier: Apache-2.0
"""The public header of a library, and the C behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.compile import c_text
from converter.compile.interface import ImageInterface, Interface, TensorInterface, row_bytes
from converter.plan.problem import ALIGNMENT
from firmware.errors import FirmwareError
from firmware.library.camera import MAX_AREA
from firmware.library.facts import Facts
from firmware.library.stack import StackUse

C_TYPES: dict[np.dtype[Any], str] = {
    **{np.dtype(name): f"{name}_t" for name in ("int8", "uint8", "int16", "int32", "int64")},
    np.dtype(np.float32): "float",
    np.dtype(np.bool_): "uint8_t",
}
_MOST_INPUTS = 31  # bits of a state's word


def _stack_text(stack: StackUse | None, macro: str) -> str:
    if stack is None:
        return (
            "// The stack has not been measured (--nocheck): export again with a cross compiler,\n"
            f"// or define {macro} from your own compiler's -fstack-usage.\n"
        )
    lines = (
        f"// Stack of the deepest call below, {stack.how}",
        f"// {stack.compiler} made for {stack.core} ({stack.options}).",
        f"// Your own comes on top, and {stack.beside}.",
        f"#define {macro} {stack.size_bytes}u",
    )
    return "\n".join([*lines, ""])


def _example(facts: Facts) -> str:
    name, upper = facts.name, facts.upper
    if facts.interface.image is None:
        second = (
            f"//   {name}_input{suffix(facts.interface.inputs, 0)}(&state, &data); fill it; ..."
        )
        return f"{second}\n//   {name}_invoke(&state); {name}_output...(&state, &output);"
    return (
        f"//   {name}_begin(&state); for each row: {name}_push_rows(&state, row, 1);\n"
        f"//   {name}_finish(&state); {name}_best_class(&state, &class_index);\n"
        f"// where a row holds {upper}_ROW_BYTES values."
    )


def _floats_where(interface: Interface) -> str:
    """Where an inference computes with floating point, in the header's words."""
    ends = (*interface.inputs, *interface.outputs)
    if any(end.dtype == np.float32 for end in ends):
        return "where float\n// inputs and outputs become integers and back"
    return "in the helpers below"


def header_text(facts: Facts) -> str:
    """`<name>.h`."""
    i, engine = facts.interface, facts.engine
    return facts.render(
        "header.h",
        TITLE=engine.title,
        ARENA=engine.arena(facts),
        STATUSES=engine.statuses(facts),
        FIELDS=engine.fields(facts),
        FUNCTIONS=engine.functions(facts),
        EXAMPLE=_example(facts),
        FLOATS=_floats_where(i),
        ARENA_ALIGNMENT=str(ALIGNMENT),
        STACK=_stack_text(facts.stack, f"{facts.upper}_STACK_BYTES"),
        WEIGHTS_BYTES=str(facts.weights_bytes),
        WEIGHTS_CRC=f"{facts.weights_crc32:#010x}",
        KERNELS=facts.kernels,
        OPERATORS=str(i.op_count),
        INTERFACE=_tensors_header(facts) if i.image is None else _image_header(facts, i.image),
    )


def source_text(facts: Facts) -> str:
    """`<name>.c`."""
    i = facts.interface
    text = _tensors_source(facts) if i.image is None else _image_source(facts, i.image)
    return facts.render(
        "source.c",
        WEIGHTS_CRC=f"{facts.weights_crc32 | 1:#010x}",
        INTERFACE=text + facts.engine.last(facts),
        ASSERTED=facts.engine.asserted(facts),
        KEPT=facts.engine.kept(facts),
    )


def camera_texts(facts: Facts) -> tuple[str, str]:
    """`<name>_camera.h` and `<name>_camera.c`; `facts.has_camera`."""
    stack = _stack_text(facts.camera_stack, f"{facts.upper}_CAMERA_STACK_BYTES")
    return (
        facts.render("camera.h", STACK=stack, MAX_AREA=str(MAX_AREA)),
        facts.render("camera.c", WEIGHTS_CRC=f"{facts.weights_crc32 | 1:#010x}"),
    )


def _floats(values: tuple[float, ...]) -> str:
    return f"{{{', '.join(c_text.float32(value) for value in values)}}}"


def _contract_text(facts: Facts) -> str:
    if facts.said.pixels is None:
        return (
            "// The model does not say how bytes of an image become these values: see --mean and\n"
            "// --std of converter.fuse.\n"
        )
    contract = facts.said.pixels.contract
    lines = (
        "// Of a byte u: (u - mean) / std, with one number or one a channel; channels are red,",
        f"// green, blue or, with {facts.upper}_COLOR_BGR, blue, green, red.",
        f"#define {facts.upper}_INPUT_MEAN {_floats(contract.normalization.mean)}",
        f"#define {facts.upper}_INPUT_STD {_floats(contract.normalization.std)}",
        f"#define {facts.upper}_COLOR_BGR {int(facts.said.pixels.reversed_channels)}",
    )
    return "\n".join(lines) + "\n"


def _pixels_header(facts: Facts, image: ImageInterface) -> str:
    if facts.said.pixels is None:
        return ""
    order = {3: " red, green, blue", 1: " of grey"}.get(image.channels, "")
    return facts.render("pixels.h", ORDER=order)


def _image_header(facts: Facts, image: ImageInterface) -> str:
    i = facts.interface
    return facts.render(
        "image.h",
        HEIGHT=str(image.height),
        WIDTH=str(image.width),
        CHANNELS=str(image.channels),
        ROW_BYTES=str(row_bytes(image, i.input_bytes)),
        INPUT_BYTES=str(i.input_bytes),
        INPUT_SCALE=c_text.float32(image.input_scale),
        INPUT_ZERO_POINT=_signed(image.input_zero_point),
        CONTRACT=_contract_text(facts),
        CLASSES=str(image.classes),
        OUTPUT_SCALE=c_text.float32(image.output_scale),
        OUTPUT_ZERO_POINT=_signed(image.output_zero_point),
        HAS_CLASS_NAMES=str(int(bool(facts.said.class_names))),
        STREAMED=str(int(i.streamed)),
        RESIDENT="" if i.streamed else facts.render("resident.h"),
        OR_INVOKE="" if i.streamed else ", invoke",
        PIXELS=_pixels_header(facts, image),
    )


def _class_names(facts: Facts) -> str:
    function = f"const char* {facts.name}_class_name(size_t class_index)"
    if not facts.said.class_names:
        return f"{function} {{\n  (void)class_index;\n  return NULL;\n}}\n"
    table = f"static const char* const kClassNames[{facts.upper}_CLASSES] = {{"
    names = [f"    {c_text.utf8_string(name)}," for name in facts.said.class_names]
    body = f"  return class_index < {facts.upper}_CLASSES ? kClassNames[class_index] : NULL;"
    return "\n".join([table, *names, "};", "", f"{function} {{", body, "}", ""])


def _pixels_source(facts: Facts, image: ImageInterface) -> str:
    pixels = facts.said.pixels
    if pixels is None:
        return ""
    rows = ("\n".join(c_text.array_rows([str(v) for v in row], 6)) for row in pixels.table)
    alike = len(pixels.table) == 1
    last = image.channels - 1
    return facts.render(
        "pixels.c",
        TABLES="" if alike else " in each of the network's channels",
        TABLE_COUNT=str(len(pixels.table)),
        TABLE="\n".join(f"    {{\n{row}\n    }}," for row in rows),
        TABLE_INDEX="0" if alike else "c",
        PIXEL_INDEX=f"{last} - c" if pixels.reversed_channels else "c",
    )


def _image_source(facts: Facts, image: ImageInterface) -> str:
    calls = facts.engine.image_calls(facts)
    rest = facts.render(
        "image.c", CLASS_NAMES=_class_names(facts), PIXELS=_pixels_source(facts, image)
    )
    return "\n" + calls + rest


def suffix(tensors: tuple[TensorInterface, ...], index: int) -> str:
    """Of a tensor's function: none for one by itself."""
    return "" if len(tensors) == 1 else str(index)


def _tensor_defines(
    facts: Facts, what: str, tensors: tuple[TensorInterface, ...], names: tuple[str, ...]
) -> list[str]:
    lines = []
    for index, (tensor, name) in enumerate(zip(tensors, names, strict=True)):
        head = f"#define {facts.upper}_{what}{suffix(tensors, index)}"
        shape = " x ".join(map(str, tensor.shape)) or "one value"
        lines.append(f"// {what.lower()} {index}: {C_TYPES[tensor.dtype]}, {shape}")
        lines.append(f"{head}_NAME {c_text.utf8_string(name)}")
        lines.append(f"{head}_COUNT {tensor.size_bytes // tensor.dtype.itemsize}u")
        lines.append(f"{head}_BYTES {tensor.size_bytes}u")
        if tensor.scale is not None:
            lines.append(f"{head}_SCALE {c_text.float32(tensor.scale)}")
            lines.append(f"{head}_ZERO_POINT {_signed(tensor.zero_point or 0)}")
    return lines


def _declarations(facts: Facts, what: str, tensors: tuple[TensorInterface, ...]) -> str:
    const = "const " if what == "output" else ""
    return "\n".join(
        f"{facts.name}_status {facts.name}_{what}{suffix(tensors, i)}({const}{facts.name}_state* "
        f"state, {const}{C_TYPES[tensor.dtype]}** data);"
        for i, tensor in enumerate(tensors)
    )


def _tensors_header(facts: Facts) -> str:
    i = facts.interface
    if len(i.inputs) > _MOST_INPUTS:
        raise FirmwareError(f"got {len(i.inputs)} inputs, expected at most {_MOST_INPUTS}")
    defines = (
        *_tensor_defines(facts, "INPUT", i.inputs, facts.said.inputs),
        *_tensor_defines(facts, "OUTPUT", i.outputs, facts.said.outputs),
    )
    return facts.render(
        "tensors.h",
        DEFINES="\n".join(defines) + "\n",
        INPUTS=_declarations(facts, "input", i.inputs) + "\n",
        OUTPUTS=_declarations(facts, "output", i.outputs),
    )


def _tensors_source(facts: Facts) -> str:
    i = facts.interface
    parts = ["\n", facts.engine.tensor_calls(facts), facts.render("tensors_begin.c")]
    for what, tensors in (("input", i.inputs), ("output", i.outputs)):
        for index, tensor in enumerate(tensors):
            assert tensor.offset is not None  # of streamed images only, which are images
            parts.append(
                facts.render(
                    f"{what}.c",
                    INDEX=suffix(tensors, index),
                    NUMBER=str(index),
                    TYPE=C_TYPES[tensor.dtype],
                    OFFSET=str(tensor.offset),
                )
            )
    return "".join([*parts, facts.render("tensors.c", ALL_INPUTS=str((1 << len(i.inputs)) - 1))])


def _signed(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"
