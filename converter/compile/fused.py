# SPDX-License-Identifier: Apache-2.0
"""Calls of the fused operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from converter.compile import struct_layout
from converter.compile.calls import Call, CallContext
from converter.compile.errors import CompileError
from converter.fused_ops import decoded
from converter.tflite import TfliteError
from tflm_custom_ops import options


@dataclasses.dataclass(frozen=True)
class Interface:
    """Element counts and bits of x and y that an operator's parameters imply."""

    input_count: int
    input_bits: int
    output_count: int
    output_bits: int


def _blocks(op: options.Attention | options.Mlp) -> Interface:
    count, bits = op.tokens * op.embed_dim, op.residual.bits
    return Interface(count, bits, count, bits)


def _layer_norm(op: options.LayerNorm) -> Interface:
    rows = op.tokens if op.pool == options.Pool.NONE else 1
    return Interface(op.tokens * op.embed_dim, op.input_bits, rows * op.embed_dim, 8)


def _linear(op: options.LinearOp) -> Interface:
    p = op.projection
    return Interface(op.rows * p.in_features, 8, op.rows * p.out_features, 8)


def _patch_embed(op: options.PatchEmbed) -> Interface:
    pixels = op.image_height * op.image_width * op.channels
    return Interface(pixels, 8, op.tokens * op.embed_dim, op.output_bits)


_INTERFACES: dict[type, Callable[..., Interface]] = {
    options.Attention: _blocks,
    options.Mlp: _blocks,
    options.LayerNorm: _layer_norm,
    options.LinearOp: _linear,
    options.PatchEmbed: _patch_embed,
}


def _check_interface(context: CallContext, params: options.Op) -> None:
    op = context.op
    x, y = context.tensor(op.inputs[0]), context.tensor(op.outputs[0])
    if isinstance(params, options.Gelu):
        expected = Interface(y.size, 8, x.size, 8)
    else:
        expected = _INTERFACES[type(params)](params)
    for tensor in (x, y):
        if tensor.dtype not in (np.int8, np.int16):
            raise CompileError(
                f"{context.where}: got {tensor.dtype} for tensor {tensor.name}, expected int8 or "
                "int16; fuse the model again"
            )
    got = Interface(x.size, 8 * x.dtype.itemsize, y.size, 8 * y.dtype.itemsize)
    if got != expected:
        raise CompileError(
            f"{context.where}: tensors and options disagree: got {got}, expected "
            f"{expected}; fuse the model again"
        )


def decode(context: CallContext) -> options.Op:
    """The parameters of a fused operator, checked against its tensors."""
    try:
        params = decoded(context.graph, context.op)
    except TfliteError as error:
        raise CompileError(str(error)) from error
    assert params is not None
    _check_interface(context, params)
    return params


# The C function of each kind, and whether x and y are typed int8_t* instead of void*.
@dataclasses.dataclass(frozen=True)
class _Function:
    name: str
    x_type: str = ""
    y_type: str = ""
    scratch: bool = True


_FUNCTIONS = {
    options.OpKind.PATCH_EMBED: _Function("vit_patch_embed", "const int8_t*"),
    options.OpKind.ATTENTION: _Function("vit_attention"),
    options.OpKind.MLP: _Function("vit_mlp"),
    options.OpKind.LAYER_NORM: _Function("vit_layer_norm", "", "int8_t*"),
    options.OpKind.GELU: _Function("vit_gelu", "const int8_t*", "int8_t*", scratch=False),
    options.OpKind.LINEAR: _Function("vit_linear", "const int8_t*", "int8_t*"),
}


def call(context: CallContext) -> Call:
    """The C call of a fused operator."""
    op = context.op
    kind = options.kind_of(decode(context))
    blob = context.tensor(op.inputs[1])
    assert blob.data is not None  # decode() checked
    offset = context.weights.add(blob.data.tobytes())
    layout = struct_layout.PARAMS[kind]
    struct = struct_layout.initializer(kind, op.custom_options, offset)
    function = _FUNCTIONS[kind]
    if op.inputs[0] == context.planned.image:
        return Call(layout.ctype, struct, ())  # the streaming functions make the call
    x = context.address(op.inputs[0], function.x_type)
    y = context.address(op.outputs[0], function.y_type)
    last = context.scratch() if function.scratch else str(context.tensor(op.outputs[0]).size)
    lines = (f"{function.name}(&{context.params_name}, {x}, {y}, {last});",)
    return Call(layout.ctype, struct, lines)
