# SPDX-License-Identifier: Apache-2.0
"""Reads the parameters of builtin operators from a graph, as TFLM's Prepare functions do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from converter.builtins import (
    broadcast,
    casts,
    elementwise,
    images,
    layers,
    lookups,
    moves,
    products,
    reductions,
    tables,
    uncompiled,
)
from converter.builtins.common import BuiltinError, Tensors
from converter.tflite import Operator, TfliteError
from converter.tflite.operator_table import TABLE as OPERATORS
from tflm_custom_ops.builtins import reference

__all__ = ["SUPPORTED", "BuiltinError", "defined", "params_of", "run_builtin"]

Outputs = tuple[NDArray[Any], ...]

_READERS: dict[str, Callable[[Tensors, Operator], Any]] = {
    "CONV_2D": layers.conv_2d,
    "DEPTHWISE_CONV_2D": layers.depthwise_conv_2d,
    "FULLY_CONNECTED": layers.fully_connected,
    "BATCH_MATMUL": products.batch_matmul,
    "SOFTMAX": products.softmax,
    "ADD": elementwise.add,
    "SUB": elementwise.add,
    "MUL": elementwise.mul,
    "DIV": elementwise.div,
    "SQUARED_DIFFERENCE": broadcast.squared_difference,
    "MAXIMUM": broadcast.extreme,
    "MINIMUM": broadcast.extreme,
    "EQUAL": broadcast.compare,
    "NOT_EQUAL": broadcast.compare,
    "LESS": broadcast.compare,
    "LESS_EQUAL": broadcast.compare,
    "GREATER": broadcast.compare,
    "GREATER_EQUAL": broadcast.compare,
    "LOGICAL_AND": broadcast.logical,
    "LOGICAL_OR": broadcast.logical,
    "LOGICAL_NOT": tables.logical_not,
    "SELECT": broadcast.select,
    "SELECT_V2": broadcast.select,
    "LOGISTIC": tables.logistic,
    "TANH": tables.tanh,
    "GELU": tables.gelu,
    "RSQRT": tables.rsqrt,
    "ABS": tables.absolute,
    "EXP": tables.exp,
    "LOG": tables.log,
    "NEG": lookups.negate,
    "CAST": casts.cast,
    "GATHER": lookups.gather,
    "SUM": reductions.total,
    "REDUCE_MAX": reductions.extreme,
    "REDUCE_MIN": reductions.extreme,
    "RESIZE_BILINEAR": images.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": images.resize_nearest,
    "TRANSPOSE_CONV": images.transpose_conv,
    "MAX_POOL_2D": layers.pool_2d,
    "AVERAGE_POOL_2D": layers.pool_2d,
    "PAD": moves.pad,
    "PADV2": moves.pad,
    "STRIDED_SLICE": moves.strided_slice,
    "SLICE": moves.slice_,
    "TRANSPOSE": moves.transpose,
    "SPLIT": moves.split,
    "SPLIT_V": moves.split_v,
    "UNPACK": moves.unpack,
    "PACK": moves.pack,
    "CONCATENATION": moves.concatenation,
    "TILE": moves.tile,
    "BROADCAST_TO": moves.broadcast_to,
    "SPACE_TO_DEPTH": moves.space_to_depth,
    "DEPTH_TO_SPACE": moves.depth_to_space,
    "MEAN": elementwise.mean,
    "QUANTIZE": elementwise.quantize,
    "DEQUANTIZE": elementwise.dequantize,
    "RELU": elementwise.relu,
    "RELU6": elementwise.relu_6,
    "RESHAPE": moves.reshape,
    "SQUEEZE": moves.reshape,
    "EXPAND_DIMS": moves.reshape,
}
SUPPORTED = tuple(_READERS)


def params_of(tensors: Tensors, op: Operator) -> Any:
    """Parameters of a builtin operator (a dataclass of `tflm_custom_ops.builtins.params`).

    Args:
      tensors: of the operator's graph.

    Raises:
      BuiltinError: not supported, or not in this form.
    """
    if op.name not in _READERS:
        raise BuiltinError(f"{op.name} is not supported; expected {', '.join(SUPPORTED)}")
    if op.options is None and OPERATORS[op.name].needs_options:
        raise BuiltinError(f"{op.name}: has no options")
    try:
        return _READERS[op.name](tensors, op)
    except (BuiltinError, TfliteError) as error:
        raise BuiltinError(f"{op.name}: {error}") from error


def _arithmetic(tensors: Tensors, op: Operator) -> Callable[..., Outputs] | None:
    """From all operands to all outputs, these in any shape of their size."""
    other = uncompiled.definition_of(tensors, op)
    if other is not None:
        return lambda *operands: (other(tensors, op, *operands),)
    try:
        params = params_of(tensors, op)
    except BuiltinError:
        return None
    return lambda *operands: reference.run(params, *operands)


def defined(tensors: Tensors, op: Operator) -> Callable[..., Outputs] | None:
    """The operator's definition as a function of its non-constant inputs.

    It is TFLM's arithmetic: that of the compiled runtime's kernels (`params_of`), and of what has
    none and differs from LiteRT's (`uncompiled`).

    Returns:
      The function, which gives each output in its tensor's shape; None where LiteRT's reference
      kernel is the definition: of other types, and of operators that are not ours.
    """
    compute = _arithmetic(tensors, op)
    if compute is None:
        return None
    constants = [tensors[i].data for i in op.inputs if i >= 0]
    outputs = [tensors[i] for i in op.outputs]

    def results(*inputs: NDArray[Any]) -> Outputs:
        activations = iter(inputs)
        values = compute(*(next(activations) if data is None else data for data in constants))
        return tuple(  # a bool's bytes are int8 to the kernels
            y.reshape(t.shape).astype(t.dtype, copy=False)
            for y, t in zip(values, outputs, strict=True)
        )

    return results


def run_builtin(tensors: Tensors, op: Operator, *inputs: NDArray[Any]) -> Outputs:
    """The operator's outputs on its non-constant ``inputs``, each in its tensor's shape.

    Raises:
      BuiltinError: not supported, or not in this form.
    """
    compute = defined(tensors, op)
    if compute is None:
        params_of(tensors, op)  # says why
        raise BuiltinError(f"{op.name} is not supported")
    return compute(*inputs)
