# SPDX-License-Identifier: Apache-2.0
"""What TFLite operators mean on real numbers, and which of them only move elements.

Tables by BuiltinOperator name:

* `VIEWS` move elements without computing. They work on arrays of any type, so running them on
  element numbers gives the layout of a tensor (`converter.fuse.layout`).
* `POINTWISE` compute each output element from the inputs' elements at that place
  (`converter.fuse.function_semantics`).
* `BROADCASTS` repeat elements.
* `REDUCTIONS` sum over axes.
* `NORMALIZATIONS` divide by a length.
* `SOFTMAX_PARTS` stand, with some of the others, where a softmax was taken apart.

Quantization is left out on purpose: a QUANTIZE or DEQUANTIZE is the identity on real numbers.
Source: TFLite operator documentation and `schema.fbs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converter.fuse.errors import NoMatchError
from converter.fuse.function_semantics import (
    JUMPS,
    NONLINEAR,
    POINTWISE,
    Array,
    Semantics,
    binary,
    gelu,
    identity,
    unary,
)
from converter.tflite import GraphView, Operator
from converter.tflite.schema import ACTIVATION_NAMES

__all__ = [
    "BROADCASTS",
    "CONSTANTS",
    "INDEX_TYPES",
    "JOINS",
    "JUMPS",
    "NONLINEAR",
    "NORMALIZATIONS",
    "POINTWISE",
    "REDUCTIONS",
    "RESHAPES",
    "SOFTMAX_PARTS",
    "VIEWS",
    "Array",
    "Semantics",
    "apply_activation",
    "evaluate",
    "fused_activation",
    "gelu",
    "reduced",
]

# ---- views ---------------------------------------------------------------------------------------


def _transpose(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [args[0].transpose(tuple(int(i) for i in args[1]))]


def _split(op: Operator, args: Sequence[Array]) -> list[Array]:
    return list(np.split(args[1], op.options.numSplits, axis=int(args[0])))


def _split_v(_: Operator, args: Sequence[Array]) -> list[Array]:
    ends = np.cumsum(args[1])[:-1]
    return list(np.split(args[0], ends, axis=int(args[2])))


def _slice(_: Operator, args: Sequence[Array]) -> list[Array]:
    source, begin, size = args
    window = tuple(
        slice(int(b), int(b) + int(s) if s >= 0 else None) for b, s in zip(begin, size, strict=True)
    )
    return [source[window]]


def _strided_slice(op: Operator, args: Sequence[Array]) -> list[Array]:
    source, begin, end, strides = args
    options = op.options
    if options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False):
        raise NoMatchError("STRIDED_SLICE with ellipsis, new axis or offset is not supported")
    window: list[Any] = []
    for i in range(len(begin)):
        if options.shrinkAxisMask >> i & 1:
            window.append(0 if options.beginMask >> i & 1 else int(begin[i]))
            continue
        low = None if options.beginMask >> i & 1 else int(begin[i])
        high = None if options.endMask >> i & 1 else int(end[i])
        window.append(slice(low, high, int(strides[i])))
    return [source[tuple(window)]]


def _gather(op: Operator, args: Sequence[Array]) -> list[Array]:
    if getattr(op.options, "batchDims", 0):
        raise NoMatchError("GATHER with batch dimensions is not supported")
    return [np.take(args[0], args[1].astype(np.int64), axis=op.options.axis)]


def _gather_nd(_: Operator, args: Sequence[Array]) -> list[Array]:
    source, places = args[0], args[1].astype(np.int64)
    limits = np.array(source.shape[: places.shape[-1]])
    if np.any(places < 0) or np.any(places >= limits):
        raise NoMatchError("GATHER_ND outside its tensor is not supported")
    return [source[tuple(np.moveaxis(places, -1, 0))]]


def _unpack(op: Operator, args: Sequence[Array]) -> list[Array]:
    axis = op.options.axis
    return [np.take(args[0], i, axis=axis) for i in range(args[0].shape[axis])]


def _space_to_depth(op: Operator, args: Sequence[Array]) -> list[Array]:
    side = op.options.blockSize
    n, height, width, depth = args[0].shape
    blocks = args[0].reshape(n, height // side, side, width // side, side, depth)
    rows = blocks.transpose(0, 1, 3, 2, 4, 5)
    return [rows.reshape(n, height // side, width // side, side * side * depth)]


def _depth_to_space(op: Operator, args: Sequence[Array]) -> list[Array]:
    side = op.options.blockSize
    n, height, width, depth = args[0].shape
    blocks = args[0].reshape(n, height, width, side, side, depth // side**2)
    rows = blocks.transpose(0, 1, 3, 2, 4, 5)
    return [rows.reshape(n, height * side, width * side, depth // side**2)]


# RESHAPE, SQUEEZE and EXPAND_DIMS keep the order of elements; the output's shape says it all.
RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})

VIEWS: dict[str, Semantics] = {
    "TRANSPOSE": _transpose,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "UNPACK": _unpack,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    **dict.fromkeys(RESHAPES, identity),
}
JOINS: dict[str, Semantics] = {
    "CONCATENATION": lambda op, args: [np.concatenate(args, axis=op.options.axis)],
    "PACK": lambda op, args: [np.stack(args, axis=op.options.axis)],
}

# ---- repetition ----------------------------------------------------------------------------------


def _broadcast_to(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.broadcast_to(args[0], tuple(int(n) for n in args[1]))]


BROADCASTS: dict[str, Semantics] = {
    "BROADCAST_TO": _broadcast_to,
    "TILE": lambda _, args: [np.tile(args[0], tuple(int(n) for n in args[1]))],
}


# Its first operand is a shape, no tensor that it repeats.
CONSTANTS: dict[str, Semantics] = {
    "FILL": lambda _, args: [np.full(tuple(int(n) for n in args[0]), args[1])]
}

# ---- reductions ----------------------------------------------------------------------------------


def reduced(function: Callable[..., Array]) -> Semantics:
    """A function of all elements along the axes that the second operand names."""

    def apply(op: Operator, args: Sequence[Array]) -> list[Array]:
        axes = tuple(int(a) for a in np.atleast_1d(args[1]))
        return [function(args[0], axis=axes, keepdims=bool(op.options.keepDims))]

    return apply


REDUCTIONS: dict[str, Semantics] = {"MEAN": reduced(np.mean), "SUM": reduced(np.sum)}

# ---- normalization -----------------------------------------------------------------------------

_SHORTEST = 1e-6  # kernels/l2norm.cc
NORMALIZATIONS: dict[str, Semantics] = {
    "L2_NORMALIZATION": unary(
        lambda x: x / np.maximum(np.sqrt(np.sum(x**2, axis=-1, keepdims=True)), _SHORTEST)
    )
}

# ---- what a softmax is made of -------------------------------------------------------------------


def _select(op: Operator, args: Sequence[Array]) -> list[Array]:
    condition, a, b = args
    if op.opcode == "SELECT" and condition.ndim == 1:  # one for each outermost part of the values
        condition = condition.reshape(-1, *(1,) * (a.ndim - 1))
    return [np.where(condition, a, b)]


SOFTMAX_PARTS: dict[str, Semantics] = {
    "REDUCE_MAX": reduced(np.max),
    "EQUAL": binary(np.equal),
    "SELECT": _select,
    "SELECT_V2": _select,
}

# ---- evaluation ----------------------------------------------------------------------------------

_FUSED: dict[str, Callable[[Array], Array]] = {
    "RELU": lambda x: np.maximum(x, 0.0),
    "RELU6": lambda x: np.clip(x, 0.0, 6.0),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1.0, 1.0),
}
# Operands that are numbers of elements or axes, not values of the network.
INDEX_TYPES = (np.dtype(np.int32), np.dtype(np.int64))


def fused_activation(op: Operator) -> str:
    """Name of the activation fused into an operator, "NONE" if there is none."""
    return ACTIVATION_NAMES[getattr(op.options, "fusedActivationFunction", 0)]


def apply_activation(op: Operator, result: Array) -> Array:
    """The result behind the activation that is fused into the operator."""
    activation = fused_activation(op)
    return result if activation == "NONE" else _FUSED[activation](result)


def _constant(view: GraphView, tensor: int) -> Array:
    value = view.tensor(tensor)
    if value.data is not None and value.dtype in INDEX_TYPES:
        return value.data
    return value.real()


def evaluate(
    view: GraphView,
    ops: Sequence[int],
    known: dict[int, Array],
    sink: int,
    *,
    flat: bool = False,
    single: bool = False,
    unclipped: int | None = None,
) -> Array:
    """Runs operators in float64.

    Args:
      ops: operators in execution order.
      known: values of the tensors that come from outside; constants are read from the graph.
      sink: the tensor to return.
      flat: every value is a 1-D array of samples and RESHAPE is the identity (for functions of
        one element).
      single: in float32.
      unclipped: an operator whose fused activation is left out.
    """
    values = dict(known)
    for index in ops:
        op = view.op(index)
        args = [values[i] if i in values else _constant(view, i) for i in op.inputs if i >= 0]
        if single:
            args = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in args]
        if op.opcode in RESHAPES:
            results = [args[0] if flat else args[0].reshape(view.tensor(op.outputs[0]).shape)]
        else:
            results = _TABLE[op.opcode](op, args)
        if index != unclipped:
            results = [apply_activation(op, r) for r in results]
        values.update(zip(op.outputs, results, strict=False))
    return values[sink]


_TABLE: dict[str, Semantics] = {
    **CONSTANTS,
    **VIEWS,
    **JOINS,
    **POINTWISE,
    **BROADCASTS,
    **REDUCTIONS,
    **NORMALIZATIONS,
    **SOFTMAX_PARTS,
}
