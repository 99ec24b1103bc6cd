# SPDX-License-Identifier: Apache-2.0
"""Calls of the operators that move values."""

from __future__ import annotations

from converter.code_size import ModelCall
from converter.compile import initializer
from converter.compile.calls import Call, CallContext
from tflm_custom_ops.builtins.moves import Moves

COPY, COPY_STRUCT = "vit_copy", "VitCopyParams"


def moves_call(name: str, params: Moves) -> ModelCall:
    """What a model calls for moves."""
    return ModelCall(name, (COPY,), COPY_STRUCT, len(params.moves))


def moves(context: CallContext, params: Moves) -> Call:
    """One copy for each part; all parameters are one array."""
    op, lines, structs = context.op, [], []
    if params.fill is not None:
        y = context.address(op.outputs[0])
        lines.append(f"memset({y}, {params.fill}, {params.output_bytes[0]});")
    for number, move in enumerate(params.moves):
        structs.append(initializer.of_values(move.copy, context.weights))
        x, y = context.address(op.inputs[move.x]), context.address(op.outputs[move.y])
        lines.append(f"{COPY}(&{context.params_name}[{number}], {x}, {y});")
    return Call(COPY_STRUCT if structs else "", tuple(structs), tuple(lines))
