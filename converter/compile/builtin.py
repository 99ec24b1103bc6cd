# SPDX-License-Identifier: Apache-2.0
"""Calls of the builtin operators that the compiled runtime supports."""

from __future__ import annotations

from collections.abc import Callable

from converter.compile.c_text import Struct
from converter.compile.calls import Call, CallContext
from converter.compile.graph import Operator


def _reshape(op: Operator, context: CallContext) -> Call:
    x = context.layout.range_of(context.graph.tensors[op.inputs[0]])
    y = context.layout.range_of(context.graph.tensors[op.outputs[0]])
    if x.offset == y.offset:
        return Call("", Struct(()), ())
    line = f"memmove({context.address(op.outputs[0])}, {context.address(op.inputs[0])}, {x.size});"
    return Call("", Struct(()), (line,))


CALLS: dict[str, Callable[[Operator, CallContext], Call]] = {
    "RESHAPE": _reshape,
}
