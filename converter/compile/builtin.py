# SPDX-License-Identifier: Apache-2.0
"""Calls of the builtin operators that the compiled runtime supports."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from converter import builtins
from converter.code_size import ModelCall
from converter.compile import c_text, initializer
from converter.compile.calls import Call, CallContext
from converter.compile.convolution import (
    CONVOLUTION,
    CONVOLUTION_STRUCT,
    as_convolution,
    convolution_call,
    layout_of,
    packed,
)
from converter.compile.errors import CompileError
from converter.compile.moves import moves, moves_call
from tflm_custom_ops.builtins import broadcast as b
from tflm_custom_ops.builtins import casts, images, lookups
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins import products as q
from tflm_custom_ops.builtins.moves import Moves
from tflm_custom_ops.builtins.reductions import Reduce
from tflm_custom_ops.builtins.schedule import STACK_BYTES


@dataclasses.dataclass(frozen=True)
class _Kernel:
    """A C function.

    Attributes:
      ctype: its struct.
      function: its name.
      operands: which inputs of the operator it takes.
      element: the C type that it names where that is not the tensors' own (the bytes of a bool).
    """

    ctype: str
    function: str
    operands: tuple[int, ...] = (0,)
    element: str = ""


def _direct(
    context: CallContext,
    params: Any,
    kernel: _Kernel,
    *more: str,
) -> Call:
    """function(&params, operands..., output, more...)"""
    element = kernel.element
    operands = [context.typed_address(context.op.inputs[i], True, element) for i in kernel.operands]
    y = context.typed_address(context.op.outputs[0], element=element)
    arguments = ", ".join((f"&{context.params_name}", *operands, y, *more))
    line = f"{kernel.function}({arguments});"
    return Call(kernel.ctype, initializer.of_values(params, context.weights), (line,))


_TABLE = _Kernel("VitGeluParams", "vit_gelu", element="int8_t")


def _conv_2d(context: CallContext, params: p.Conv2D) -> Call:
    scratch = context.scratch_span
    if scratch is None or scratch.size_bytes < STACK_BYTES:
        on_stack = packed(params, context.op.name, STACK_BYTES)
        return _direct(context, on_stack, _Kernel(CONVOLUTION_STRUCT, CONVOLUTION))
    in_arena = packed(params, context.op.name, scratch.size_bytes)
    kernel = _Kernel(CONVOLUTION_STRUCT, "vit_conv_2d")
    return _direct(context, in_arena, kernel, context.scratch())


def _fully_connected(context: CallContext, params: p.FullyConnected) -> Call:
    return _conv_2d(context, as_convolution(params))


def _table(context: CallContext, params: p.Table) -> Call:
    count = context.tensor(context.op.outputs[0]).size
    return _direct(context, params, _TABLE, str(count))


def _reshape(context: CallContext, params: p.Reshape) -> Call:
    x, y = context.op.inputs[0], context.op.outputs[0]
    size = context.tensor(y).nbytes
    if context.tensor(x).is_constant:
        line = f"memcpy({context.address(y)}, {context.address(x)}, {size});"
    elif context.planned.span(x).offset == context.planned.span(y).offset:
        return Call("", c_text.Initializer(()), ())
    else:
        line = f"memmove({context.address(y)}, {context.address(x)}, {size});"
    return Call("", c_text.Initializer(()), (line,))


_BOTH = (0, 1)
KERNELS: dict[type, _Kernel] = {
    p.DepthwiseConv2D: _Kernel("VitDepthwiseConv2DParams", "vit_depthwise_conv_2d"),
    p.Pool2D: _Kernel("VitPool2DParams", "vit_pool_2d"),
    p.Mean: _Kernel("VitMeanParams", "vit_mean"),
    p.MeanInt16: _Kernel("VitMeanParams", "vit_mean_int16"),
    p.Quantize: _Kernel("VitQuantizeParams", "vit_quantize"),
    p.Requantize: _Kernel("VitRequantizeParams", "vit_requantize"),
    p.Dequantize: _Kernel("VitDequantizeParams", "vit_dequantize"),
    p.Add: _Kernel("VitAddParams", "vit_add", _BOTH),
    p.AddInt16: _Kernel("VitAddParams", "vit_add_int16", _BOTH),
    p.Mul: _Kernel("VitMulParams", "vit_mul", _BOTH),
    p.MulInt16: _Kernel("VitMulParams", "vit_mul_int16", _BOTH),
    q.BatchMatMul: _Kernel("VitBatchMatMulParams", "vit_batch_matmul", _BOTH),
    q.Softmax: _Kernel("VitSoftmaxInt8Params", "vit_softmax_int8"),
    b.SquaredDifference: _Kernel("VitSquaredDifferenceParams", "vit_squared_difference", _BOTH),
    b.Divide: _Kernel("VitDivideParams", "vit_divide", _BOTH),
    b.CompareInt8: _Kernel("VitCompareInt8Params", "vit_compare_int8", _BOTH),
    b.CompareInt32: _Kernel("VitCompareInt32Params", "vit_compare_int32", _BOTH),
    b.ArithmeticInt32: _Kernel("VitArithmeticInt32Params", "vit_arithmetic_int32", _BOTH),
    b.Select: _Kernel("VitSelectParams", "vit_select", (0, 1, 2)),
    Reduce: _Kernel("VitReduceParams", "vit_reduce"),
    lookups.Gather: _Kernel("VitGatherParams", "vit_gather", _BOTH),
    b.ExtremeInt8: _Kernel("VitExtremeInt8Params", "vit_extreme_int8", _BOTH, "int8_t"),
    casts.Cast: _Kernel("VitCastParams", "vit_cast"),
    lookups.NegateFloat: _Kernel("VitNegateFloatParams", "vit_negate_float"),
    images.ResizeBilinear: _Kernel("VitResizeBilinearParams", "vit_resize_bilinear"),
    images.ResizeNearest: _Kernel("VitResizeNearestParams", "vit_resize_nearest"),
    images.TransposeConv: _Kernel("VitTransposeConvParams", "vit_transpose_conv", (2,)),
}


@dataclasses.dataclass(frozen=True)
class _Special:
    """What needs more than the call that a `_Kernel` says.

    Attributes:
      write: the call, of its context and parameters.
      used: what the call will name, of the operator's name and parameters.
    """

    write: Callable[..., Call]
    used: Callable[[str, Any], ModelCall]


_SPECIAL = {
    p.Conv2D: _Special(_conv_2d, lambda name, op: convolution_call(name, layout_of(op))),
    p.FullyConnected: _Special(
        _fully_connected, lambda name, op: convolution_call(name, layout_of(as_convolution(op)))
    ),
    p.Reshape: _Special(_reshape, lambda name, _: ModelCall(name, (), "")),
    p.Table: _Special(_table, lambda name, _: ModelCall(name, (_TABLE.function,), _TABLE.ctype)),
    Moves: _Special(moves, moves_call),
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
    kernel = KERNELS.get(type(params))
    if kernel is not None:
        return _direct(context, params, kernel)
    return _SPECIAL[type(params)].write(context, params)


def used_by(name: str, params: Any) -> ModelCall:
    """What :func:`call` will name for parameters, without writing it.

    Args:
      name: of the operator.
    """
    kernel = KERNELS.get(type(params))
    if kernel is not None:
        return ModelCall(name, (kernel.function,), kernel.ctype)
    return _SPECIAL[type(params)].used(name, params)
