# SPDX-License-Identifier: Apache-2.0
"""Calls of the fused operators."""

from __future__ import annotations

from converter.compile import initializer
from converter.compile.calls import Call, CallContext
from converter.compile.errors import CompileError
from converter.compile.weights import WeightOrder
from converter.fused_ops import decoded
from converter.tflite import TfliteError
from tflm_custom_ops.ops import Params, operator_of


def decode(context: CallContext) -> Params:
    """The parameters of a fused operator, checked against its tensors."""
    try:
        params = decoded(context.graph, context.op)
    except TfliteError as error:
        raise CompileError(str(error)) from error
    assert params is not None
    return params


def call(context: CallContext) -> Call:
    """The C call of a fused operator."""
    op = context.op
    params = decode(context)
    operator = operator_of(params)
    blob = context.tensor(op.inputs[-1])
    assert blob.data is not None  # decode() checked
    if context.weights.order is WeightOrder.PAIRS:
        offset = context.weights.add(blob.data.tobytes())
        struct = initializer.of_options(params, op.custom_options, offset)
    else:
        struct = initializer.of_values(params, context.weights)
    if op.inputs[0] == context.planned.image:
        return Call(params.C_TYPE, struct, ())  # the streaming functions make the call
    inputs = [context.address(i, _typed(operator.C_X)) for i in op.inputs[:-1]]
    y = context.address(op.outputs[0], _typed(operator.C_Y))
    last = context.scratch() if operator.HAS_SCRATCH else str(context.tensor(op.outputs[0]).size)
    arguments = ", ".join([f"&{context.params_name}", *inputs, y, last])
    return Call(params.C_TYPE, struct, (f"vit_{operator.NAME}({arguments});",))


def _typed(pointer: str) -> str:
    """The cast that an address needs for a parameter of this type; `void*` needs none."""
    return "" if "void" in pointer else pointer
