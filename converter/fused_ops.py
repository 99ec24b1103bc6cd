# SPDX-License-Identifier: Apache-2.0
"""The fused operators in a graph: which they are, and their parameters."""

from __future__ import annotations

import numpy as np

from converter.tflite import Graph, Operator, TfliteError
from tflm_custom_ops.ops import BY_CODE, OptionsError, Params, code_of, decode

FUSED_CODES = frozenset(BY_CODE)


def is_fused(op: Operator) -> bool:
    """Whether the operator is one of docs/operators.md."""
    return op.opcode == "CUSTOM" and op.custom_code in FUSED_CODES


def decoded(graph: Graph, op: Operator) -> Params | None:
    """The parameters of a fused operator; None for any other.

    Raises:
      TfliteError: wrong number of inputs and outputs, no constant blob, options that are malformed
        or of another operator.
    """
    if not is_fused(op):
        return None
    where = op.name
    if op in graph.operators:
        where = f"operator {graph.operators.index(op)} {op.name}"
    if len(op.inputs) != 2 or len(op.outputs) != 1:
        raise TfliteError(
            f"{where}: got {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected x and "
            "the blob, and y"
        )
    blob = graph.tensors[op.inputs[1]] if op.inputs[1] >= 0 else None
    if blob is None or blob.data is None or blob.dtype != np.uint8:
        raise TfliteError(f"{where}: got a second input that is no constant uint8 tensor")
    try:
        params = decode(op.custom_options, blob.data.tobytes())
    except OptionsError as error:
        raise TfliteError(f"{where}: {error}") from error
    if code_of(params) != op.custom_code:
        raise TfliteError(f"{where}: its options are those of a {type(params).__name__}")
    return params


def decoded_all(graph: Graph) -> tuple[Params | None, ...]:
    """`decoded` of every operator."""
    return tuple(decoded(graph, op) for op in graph.operators)
