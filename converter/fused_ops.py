# SPDX-License-Identifier: Apache-2.0
"""The fused operators in a graph: which they are, and their parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.tflite import Graph, Operator, Tensor, TfliteError
from tflm_custom_ops.ops import (
    BY_CODE,
    OptionsError,
    Params,
    TensorType,
    code_of,
    decode,
    operator_of,
)

FUSED_CODES = frozenset(BY_CODE)


class InterfaceError(ValueError):
    """An operator's parameters and the tensors around it disagree."""


def check_interface(params: Params, inputs: Sequence[Tensor], y: Tensor) -> None:
    """The rule of TFLM's operators (tflm/op_support.cc, TensorChecker), for every runtime.

    Raises:
      InterfaceError: a tensor has another type or shape than the parameters imply.
    """
    operator, first = operator_of(params), inputs[0].shape
    for stated, tensor, expected in zip(operator.INPUTS, inputs, operator.inputs, strict=True):
        _check(stated.name, tensor, expected, first)
    _check("y", y, operator.output, operator.output_shape(first))


def _check(role: str, tensor: Tensor, expected: TensorType, any_shape: tuple[int, ...]) -> None:
    """Same type and number of elements; the last dimension, or the three of an image, as well."""
    shape = any_shape if expected.shape is None else expected.shape
    kept = 1 if expected.shape is None else {1: 0, 3: 3}.get(len(shape), 1)
    same = tensor.size == int(np.prod(shape, dtype=np.int64)) and (
        tensor.shape[len(tensor.shape) - kept :] == shape[len(shape) - kept :]
    )
    if tensor.dtype != expected.dtype or not same:
        raise InterfaceError(
            f"{role}: got {tensor.dtype} {list(tensor.shape)}, expected {expected.dtype} "
            f"{list(shape)}"
        )


def check_zero_points(params: Params, inputs: Sequence[Tensor], y: Tensor) -> None:
    """That the zero points which the parameters know are those of the tensors.

    Raises:
      InterfaceError: they are another tensor's.
    """
    operator = operator_of(params)
    names = [*(stated.name for stated in operator.INPUTS), "y"]
    types = (*operator.inputs, operator.output)
    for role, tensor, known in zip(names, (*inputs, y), types, strict=True):
        if known.zero_point is not None and tensor.zero_point != known.zero_point:
            raise InterfaceError(
                f"{role}: got zero point {tensor.zero_point}, expected {known.zero_point}"
            )


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
    try:
        return _decoded(graph, op)
    except TfliteError as error:
        # Looked up here alone: a graph may have thousands of operators.
        known = op in graph.operators
        where = f"operator {graph.operators.index(op)} {op.name}" if known else op.name
        raise TfliteError(f"{where}: {error}") from error


def _decoded(graph: Graph, op: Operator) -> Params:
    """Of a fused operator; errors are without its name."""
    names = [stated.name for stated in BY_CODE[op.custom_code].INPUTS]
    if len(op.inputs) != len(names) + 1 or len(op.outputs) != 1:
        raise TfliteError(
            f"got {len(op.inputs)} inputs and {len(op.outputs)} outputs, expected "
            f"{', '.join(names)} and the blob, and y"
        )
    blob = graph.tensors[op.inputs[-1]] if op.inputs[-1] >= 0 else None
    if blob is None or blob.data is None or blob.dtype != np.uint8:
        raise TfliteError("got a last input that is no constant uint8 tensor")
    try:
        params = decode(op.custom_options, blob.data.tobytes())
    except OptionsError as error:
        raise TfliteError(str(error)) from error
    if code_of(params) != op.custom_code:
        raise TfliteError(f"its options are those of a {type(params).__name__}")
    for name, index in zip(names, op.inputs[:-1], strict=True):
        if index < 0:
            raise TfliteError(f"got no {name}, expected a tensor")
    try:
        inputs = [graph.tensors[i] for i in op.inputs[:-1]]
        check_interface(params, inputs, graph.tensors[op.outputs[0]])
    except InterfaceError as error:
        raise TfliteError(f"{error}; fuse the plain model again") from error
    return params


def decoded_all(graph: Graph) -> tuple[Params | None, ...]:
    """`decoded` of every operator."""
    return tuple(decoded(graph, op) for op in graph.operators)
