# SPDX-License-Identifier: Apache-2.0
"""Calls of the builtin operators that the compiled runtime supports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter import builtins
from converter.compile import c_text, initializer
from converter.compile.calls import Call, CallContext
from converter.compile.errors import CompileError
from converter.compile.moves import moves
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.moves import Moves
from tflm_custom_ops.builtins.products import BatchMatMul, Softmax
from tflm_custom_ops.builtins.schedule import STACK_BYTES, conv_schedule
from tflm_custom_ops.exact_sums import exact_k_block
from tflm_custom_ops.ops import Linear


@dataclasses.dataclass(frozen=True, eq=False)
class _PackedConv2D:
    """VitConv2DParams."""

    window: p.Window
    input_zero_point: int
    linear: Linear
    shift: NDArray[np.int32]
    rows: int
    inputs: int
    channels: int


def _pack(op: p.Conv2D, name: str, scratch_bytes: int) -> _PackedConv2D:
    rows = op.weights.reshape(op.window.output_channels, -1)
    bias = op.bias.astype(np.int64) - op.input_zero_point * rows.astype(np.int64).sum(axis=1)
    largest = np.abs(bias) + 128 * np.abs(rows.astype(np.int64)).sum(axis=1)
    if largest.size and int(largest.max()) >= 1 << 31:
        raise CompileError(f"{name}: the sums exceed 32 bits; use the TFLM runtime")
    if rows.size and int(rows.min()) < -127:
        raise CompileError(f"{name}: got a weight of -128, expected [-127, 127]; quantize again")
    bias32 = bias.astype(np.int32)
    linear = Linear(
        rows,
        bias32,
        op.multiplier,
        out_zero_point=op.output_zero_point,
        out_min=op.out_min,
        out_max=op.out_max,
        k_block=exact_k_block(rows, bias32),
    )
    cut = conv_schedule(rows.shape[1], rows.shape[0], scratch_bytes)
    parts = (cut.rows, cut.inputs, cut.channels)
    return _PackedConv2D(op.window, op.input_zero_point, linear, op.shift, *parts)


def _as_convolution(op: p.FullyConnected) -> p.Conv2D:
    """A fully connected layer is a 1 x 1 convolution over a line of `rows` pixels."""
    window = p.Window(
        *(1, op.rows, op.in_features),
        *(1, op.rows, op.out_features),
        *(1, 1, 1, 1, 1, 1, 0, 0),
    )
    weights = op.weights.reshape(op.out_features, 1, 1, op.in_features)
    return p.Conv2D(
        window,
        op.input_zero_point,
        op.output_zero_point,
        op.out_min,
        op.out_max,
        weights,
        op.bias,
        op.multiplier,
        op.shift,
    )


def _unary(context: CallContext, ctype: str, function: str, params: Any, *more: str) -> Call:
    x = context.typed_address(context.op.inputs[0], const=True)
    y = context.typed_address(context.op.outputs[0])
    arguments = ", ".join((f"&{context.params_name}", x, y, *more))
    line = f"{function}({arguments});"
    return Call(ctype, initializer.of_values(params, context.weights), (line,))


def _conv_2d(context: CallContext, params: p.Conv2D) -> Call:
    scratch, ctype = context.scratch_span, "VitConv2DParams"
    if scratch is None or scratch.size_bytes < STACK_BYTES:
        packed = _pack(params, context.op.name, STACK_BYTES)
        return _unary(context, ctype, "vit_conv_2d_on_stack", packed)
    packed = _pack(params, context.op.name, scratch.size_bytes)
    return _unary(context, ctype, "vit_conv_2d", packed, context.scratch())


def _fully_connected(context: CallContext, params: p.FullyConnected) -> Call:
    return _conv_2d(context, _as_convolution(params))


def _depthwise(context: CallContext, params: p.DepthwiseConv2D) -> Call:
    ctype, function = "VitDepthwiseConv2DParams", "vit_depthwise_conv_2d"
    return _unary(context, ctype, function, params)


def _pool_2d(context: CallContext, params: p.Pool2D) -> Call:
    return _unary(context, "VitPool2DParams", "vit_pool_2d", params)


def _mean(context: CallContext, params: p.Mean) -> Call:
    return _unary(context, "VitMeanParams", "vit_mean", params)


def _table(context: CallContext, params: p.Table) -> Call:
    count = context.tensor(context.op.outputs[0]).size
    return _unary(context, "VitGeluParams", "vit_gelu", params, str(count))


def _quantize(context: CallContext, params: p.Quantize) -> Call:
    return _unary(context, "VitQuantizeParams", "vit_quantize", params)


def _requantize(context: CallContext, params: p.Requantize) -> Call:
    return _unary(context, "VitRequantizeParams", "vit_requantize", params)


def _dequantize(context: CallContext, params: p.Dequantize) -> Call:
    return _unary(context, "VitDequantizeParams", "vit_dequantize", params)


def _binary(context: CallContext, ctype: str, function: str, params: Any) -> Call:
    a, b = (context.address(i, "const int8_t*") for i in context.op.inputs[:2])
    y = context.address(context.op.outputs[0], "int8_t*")
    line = f"{function}(&{context.params_name}, {a}, {b}, {y});"
    return Call(ctype, initializer.of_values(params, context.weights), (line,))


def _add(context: CallContext, params: p.Add) -> Call:
    return _binary(context, "VitAddParams", "vit_add", params)


def _mul(context: CallContext, params: p.Mul) -> Call:
    return _binary(context, "VitMulParams", "vit_mul", params)


def _batch_matmul(context: CallContext, params: BatchMatMul) -> Call:
    return _binary(context, "VitBatchMatMulParams", "vit_batch_matmul", params)


def _softmax(context: CallContext, params: Softmax) -> Call:
    return _unary(context, "VitSoftmaxInt8Params", "vit_softmax_int8", params)


def _reshape(context: CallContext, params: p.Reshape) -> Call:
    x, y = context.op.inputs[0], context.op.outputs[0]
    size = context.tensor(y).nbytes
    if context.tensor(x).is_constant:
        line = f"memcpy({context.address(y)}, {context.address(x)}, {size});"
    elif context.planned.span(x).offset == context.planned.span(y).offset:
        return Call("", c_text.Struct(()), ())
    else:
        line = f"memmove({context.address(y)}, {context.address(x)}, {size});"
    return Call("", c_text.Struct(()), (line,))


_CALLS: dict[type, Callable[..., Call]] = {
    p.Conv2D: _conv_2d,
    p.DepthwiseConv2D: _depthwise,
    p.FullyConnected: _fully_connected,
    p.Reshape: _reshape,
    p.Add: _add,
    p.Mul: _mul,
    p.Pool2D: _pool_2d,
    Moves: moves,
    BatchMatMul: _batch_matmul,
    Softmax: _softmax,
    p.Mean: _mean,
    p.Table: _table,
    p.Quantize: _quantize,
    p.Requantize: _requantize,
    p.Dequantize: _dequantize,
}
# Operators whose calls take scratch if there is some.
WANTS_SCRATCH = ("CONV_2D", "FULLY_CONNECTED")
SUPPORTED = frozenset(builtins.SUPPORTED)


def call(context: CallContext) -> Call:
    """The C call of a builtin operator."""
    try:
        params = builtins.params_of(context.graph.tensors, context.op)
    except builtins.BuiltinError as error:
        raise CompileError(f"operator {context.index}: {error}") from error
    return _CALLS[type(params)](context, params)
