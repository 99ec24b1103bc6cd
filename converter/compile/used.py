# SPDX-License-Identifier: Apache-2.0
"""What the generated model of a graph will call, without generating it."""

from __future__ import annotations

from collections.abc import Sequence

from converter import builtins
from converter.code_size import STREAMED_PATCH_EMBED, ModelCall
from converter.compile.builtin import KERNELS, used_by
from converter.compile.convolution import CONVOLUTION, CONVOLUTION_STRUCT
from converter.compile.moves import COPY, COPY_STRUCT
from converter.tflite import Graph, Operator
from tflm_custom_ops.ops import OPERATORS, Params, code_of, operator_of
from tflm_custom_ops.ops.schema.struct import functions_of, selectable_functions


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
    return tuple(sorted({*fused, *builtin, CONVOLUTION_STRUCT, COPY_STRUCT}))


def fused_call(params: Params) -> ModelCall:
    """Of a fused operator."""
    functions = (f"vit_{operator_of(params).NAME}", *sorted(functions_of(params)))
    return ModelCall(code_of(params), functions, params.C_TYPE)


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
    return used_by(operator.name, params)
