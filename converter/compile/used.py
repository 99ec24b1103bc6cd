# SPDX-License-Identifier: Apache-2.0
"""What the generated model of a graph will call, without generating it."""

from __future__ import annotations

from collections.abc import Sequence

from converter import builtins
from converter.code_size import STREAMED_PATCH_EMBED, ModelCall
from converter.compile.builtin import KERNELS
from converter.compile.convolution import CONVOLUTION, as_convolution, layout_of
from converter.tflite import Graph, Operator
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.moves import Moves
from tflm_custom_ops.ops import OPERATORS, Params, code_of, operator_of
from tflm_custom_ops.ops.layouts import KERNEL_OF, WeightLayout
from tflm_custom_ops.ops.schema.struct import functions_of, selectable_functions

_CONVOLUTION_STRUCT = "VitConv2DParams"
COPY, COPY_STRUCT = "vit_copy", "VitCopyParams"
_TABLE, _TABLE_STRUCT = "vit_gelu", "VitGeluParams"


def kernel_functions() -> tuple[str, ...]:
    """Every function that a generated model may name, memcpy() and its kind left out."""
    fused = {f"vit_{operator.NAME}" for operator in OPERATORS}
    fused = fused.union(*(selectable_functions(operator.PARAMS) for operator in OPERATORS))
    builtin = (kernel.function for kernel in KERNELS.values())
    return tuple(sorted({*fused, *STREAMED_PATCH_EMBED, *builtin, CONVOLUTION, COPY}))


def parameter_structs() -> tuple[str, ...]:
    """C types of all parameters."""
    fused = (operator.PARAMS.C_TYPE for operator in OPERATORS)
    builtin = (kernel.ctype for kernel in KERNELS.values())
    return tuple(sorted({*fused, *builtin, _CONVOLUTION_STRUCT, COPY_STRUCT}))


def fused_call(params: Params) -> ModelCall:
    """Of a fused operator."""
    functions = (f"vit_{operator_of(params).NAME}", *sorted(functions_of(params)))
    return ModelCall(code_of(params), functions, params.C_TYPE)


def convolution_call(name: str, layout: WeightLayout = WeightLayout.PAIRS8) -> ModelCall:
    """Of a convolution, or a layer that is one."""
    functions = (CONVOLUTION, KERNEL_OF[layout]) if layout in KERNEL_OF else (CONVOLUTION,)
    return ModelCall(name, functions, _CONVOLUTION_STRUCT)


def calls_of(graph: Graph, ops: Sequence[Params | None]) -> tuple[ModelCall, ...]:
    """Of all operators; of those that the compiled runtime does not have, nothing but the name."""
    return tuple(
        _builtin_call(graph, operator) if op is None else fused_call(op)
        for operator, op in zip(graph.operators, ops, strict=True)
    )


def _builtin_call(graph: Graph, operator: Operator) -> ModelCall:
    try:
        params = builtins.params_of(graph.tensors, operator)
    except builtins.BuiltinError:
        return ModelCall(operator.name, (), "")
    kernel = KERNELS.get(type(params))
    if kernel is not None:
        return ModelCall(operator.name, (kernel.function,), kernel.ctype)
    if isinstance(params, p.FullyConnected):
        params = as_convolution(params)
    if isinstance(params, p.Conv2D):
        return convolution_call(operator.name, layout_of(params))
    if isinstance(params, Moves):
        return ModelCall(operator.name, (COPY,), COPY_STRUCT, len(params.moves))
    if isinstance(params, p.Table):
        return ModelCall(operator.name, (_TABLE,), _TABLE_STRUCT)
    return ModelCall(operator.name, (), "")
