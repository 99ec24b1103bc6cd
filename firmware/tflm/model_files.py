# SPDX-License-Identifier: Apache-2.0
"""The files that stand for a compiled model where TFLM runs it: `.tflite`, plan, resolver."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from converter import tflite
from converter.compile import CompileError
from converter.compile.compiler import statement_of
from converter.compile.header import class_names_text, header_text
from converter.compile.interface import Interface, interface_of
from converter.compile.planned import PlannedGraph, read_graph
from converter.fused_ops import decoded_all
from converter.plan import PlanError, read_plan
from converter.plan.strip import Strip
from converter.support import BUILTINS
from converter.tflite import Graph
from firmware.errors import ModelError
from firmware.tflm.embedded import Embedded, embedded_of
from tflm_custom_ops.ops import BY_CODE

RESOLVER_HEADER = "vit_model_resolver.h"
_TAIL_GUESS_BYTES = 48 * 1024


def _strip_table(strips: tuple[Strip, ...]) -> str:
    if not strips:
        return ""
    rows = ", ".join(f"{{{strip.first_row}, {strip.rows}}}" for strip in strips)
    return (
        "// Image rows that each run takes.\n"
        f"#define VIT_MODEL_STRIPS {len(strips)}\n"
        "static const struct { int first_row, rows; } vit_model_strips[VIT_MODEL_STRIPS] = {\n"
        f"    {rows}}};\n\n"
    )


def plan_rows(words: tuple[int, ...]) -> str:
    """The plan's words as lines of an initializer."""
    rows = (", ".join(map(str, words[i : i + 6])) for i in range(0, len(words), 6))
    return ",\n    ".join(rows)


def _plan_table(words: tuple[int, ...]) -> str:
    if not words:
        return "#define VIT_MODEL_PLAN_WORDS 0u  // TFLM plans, by the offsets in the file\n"
    return (
        f"#define VIT_MODEL_PLAN_WORDS {len(words)}u\n"
        f"static const int32_t vit_model_plan[{len(words)}] = {{\n    {plan_rows(words)},\n}};\n\n"
    )


def _plan_header(embedded: Embedded) -> str:
    (taken,), (given,) = embedded.inputs, embedded.outputs
    return (
        "// SPDX-License-Identifier: Apache-2.0\n"
        "// Where each buffer lies in the arena; see planned_memory_planner.h.\n"
        "#ifndef VIT_MODEL_PLAN_H_\n#define VIT_MODEL_PLAN_H_\n#include <stdint.h>\n\n"
        f"#define VIT_MODEL_FILE_BYTES {len(embedded.content)}u\n"
        f"#define VIT_MODEL_TFLM_INPUT_OFFSET {taken.offset}u\n"
        f"#define VIT_MODEL_TFLM_INPUT_BYTES {taken.size_bytes}u\n"
        f"#define VIT_MODEL_TFLM_OUTPUT_OFFSET {given.offset}u\n"
        f"{_plan_table(embedded.words)}"
        f"{_strip_table(embedded.strips)}"
        "#endif  // VIT_MODEL_PLAN_H_\n"
    )


def resolver_calls(graph: Graph) -> list[str]:
    """C++ expressions that add the operators of `graph` to `resolver`, and no others.

    Raises:
      ModelError: an operator that TFLM lacks.
    """
    custom = sorted({op.name for op in graph.operators if op.opcode == "CUSTOM"})
    builtin = sorted({op.name for op in graph.operators if op.opcode != "CUSTOM"})
    known = set(BY_CODE)
    methods = {entry.name: entry.method for entry in BUILTINS if entry.method}
    missing = [n for n in custom if n not in known] + [n for n in builtin if n not in methods]
    if missing:
        raise ModelError(f"no TFLM operator for {', '.join(missing)}")
    calls = [f'resolver->AddCustom("{n}", tflm_vit::Register{n}())' for n in custom]
    return calls + [f"resolver->{methods[name]}()" for name in builtin]


def checked_calls(calls: list[str]) -> str:
    """Statements that make the calls, up to one that fails."""
    return "\n".join(f"  if ({call} != kTfLiteOk) return kTfLiteError;" for call in calls)


def resolver_header(graph: Graph) -> str:
    """C++ source that registers the operators of `graph`.

    Raises:
      ModelError: an operator that TFLM lacks.
    """
    calls = resolver_calls(graph)
    return (
        "// SPDX-License-Identifier: Apache-2.0\n"
        "// The operators of this model, and no others.\n"
        "#ifndef VIT_MODEL_RESOLVER_H_\n#define VIT_MODEL_RESOLVER_H_\n\n"
        f"#define VIT_MODEL_RESOLVER_OPERATORS {len(calls)}\n\n"
        "template <class Resolver>\n"
        "TfLiteStatus VitModelAddOperators(Resolver* resolver) {\n"
        f"{checked_calls(calls)}\n  return kTfLiteOk;\n}}\n\n"
        "#endif  // VIT_MODEL_RESOLVER_H_\n"
    )


def _header(interface: Interface) -> str:
    """vit_model.h of the compiled runtime, with the set-up that an interpreter needs."""
    additions = (
        "#define VIT_MODEL_HAS_SETUP 1\n"
        f"{'' if interface.streamed else '#define VIT_MODEL_OK 0' + chr(10)}"
        "#define VIT_MODEL_ERROR_SETUP 4\n"
        "// Makes the interpreter, once; VIT_MODEL_OK or VIT_MODEL_ERROR_SETUP.\n"
        "int vit_model_setup(uint8_t* arena);\n"
        "// Whether anything failed so far; a line on the console said what.\n"
        "int vit_model_failed(void);\n\n"
    )
    text = header_text(interface)
    end = text.index("#ifdef __cplusplus\n}")
    return text[:end] + additions + text[end:]


def _names(graph: Graph) -> str:
    names = ",\n    ".join(f'"{i} {op.name}"' for i, op in enumerate(graph.operators))
    return (
        "// SPDX-License-Identifier: Apache-2.0\n"
        '#include "vit_model.h"\n\n'
        f"const char* const vit_model_op_names[VIT_MODEL_OP_COUNT] = {{\n    {names},\n}};\n"
    )


def write_model(
    model: bytes, directory: Path, *, external: bool, tail_bytes: int = _TAIL_GUESS_BYTES
) -> int:
    """Writes the files that stand for the compiled model; returns the plan's arena in bytes.

    Where TFLM plans by itself the arena has what that takes as well.

    Args:
      model: a fused and planned `.tflite`.
      directory: made if missing.
      external: place the file in the external flash.
      tail_bytes: what TFLM's bookkeeping may take of the arena, beside the plan.

    Raises:
      ModelError: no plan in the file, an operator whose options are refused, a streamed image
        before anything but fused operators, or an operator that TFLM lacks.
    """
    try:
        plan = read_plan(model)
        graph = read_graph(model)
        decoded_all(graph)  # refused here and not on the device
        interface = interface_of(PlannedGraph(graph, plan), statement_of(model))
        if interface.image is None:
            raise ModelError(
                "TFLM firmware takes models of one int8 image [1, height, width, channels] with "
                "one int8 output"
            )
        embedded = embedded_of(model, plan)
    except (CompileError, PlanError, tflite.TfliteError) as error:
        raise ModelError(str(error)) from error
    beside = tail_bytes + embedded.planning_bytes(plan.arena_bytes)
    arena = plan.arena_bytes + (beside + 15) // 16 * 16
    section = ".extflash.vit_weights" if external else ".rodata.vit_weights"
    directory.mkdir(parents=True, exist_ok=True)
    texts = (
        ("vit_model.h", _header(dataclasses.replace(interface, arena_bytes=arena))),
        ("vit_model.c", _names(graph) + class_names_text(interface.class_names)),
        ("vit_model_plan.h", _plan_header(embedded)),
        (RESOLVER_HEADER, resolver_header(graph)),
        ("vit_model_weights.S", model_assembly(section)),
    )
    for name, text in texts:
        (directory / name).write_bytes(text.encode())
    (directory / "vit_model_weights.bin").write_bytes(embedded.content)
    return plan.arena_bytes


def model_assembly(section: str) -> str:
    """Assembly that places `vit_model_weights.bin` in `section`, as the symbol of that name."""
    return (
        "// SPDX-License-Identifier: Apache-2.0\n"
        "// The .tflite file.\n"
        f'  .section {section}, "a", %progbits\n'
        "  .balign 16\n"
        "  .global vit_model_weights\n"
        "  .type vit_model_weights, %object\n"
        "vit_model_weights:\n"
        '  .incbin "vit_model_weights.bin"\n'
        "  .size vit_model_weights, . - vit_model_weights\n"
    )
