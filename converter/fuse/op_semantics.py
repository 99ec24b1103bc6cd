# SPDX-License-Identifier: Apache-2.0
"""What TFLite operators mean on real numbers, and which of them only move elements.

Tables by BuiltinOperator name:

* `VIEWS` move elements without computing. They work on arrays of any type, so running them on
  element numbers gives the layout of a tensor (`converter.fuse.layout`).
* `POINTWISE` compute each output element from the inputs' elements at that place.
* `BROADCASTS` repeat elements.
* `REDUCTIONS` sum over axes.
* `SOFTMAX_PARTS` stand, with some of the others, where a softmax was taken apart.

Quantization is left out on purpose: a QUANTIZE or DEQUANTIZE is the identity on real numbers.
Source: TFLite operator documentation and `schema.fbs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.erf import erf
from converter.fuse.errors import NoMatchError
from converter.tflite import GraphView, Operator
from converter.tflite.schema import ACTIVATION_NAMES

Array = NDArray[Any]
Semantics = Callable[[Operator, Sequence[Array]], list[Array]]

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


def _concatenation(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.concatenate(args, axis=op.options.axis)]


def _unpack(op: Operator, args: Sequence[Array]) -> list[Array]:
    axis = op.options.axis
    return [np.take(args[0], i, axis=axis) for i in range(args[0].shape[axis])]


def _pack(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.stack(args, axis=op.options.axis)]


def _same(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [args[0]]


# RESHAPE, SQUEEZE and EXPAND_DIMS keep the order of elements; the output's shape says it all.
RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})

VIEWS: dict[str, Semantics] = {
    "TRANSPOSE": _transpose,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "UNPACK": _unpack,
    **dict.fromkeys(RESHAPES, _same),
}
JOINS: dict[str, Semantics] = {"CONCATENATION": _concatenation, "PACK": _pack}

# ---- pointwise -----------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def gelu(x: Array, approximate: bool) -> Array:
    """GELU (Hendrycks and Gimpel 2016): x * Phi(x), or its tanh approximation."""
    if approximate:
        cdf = 1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
    else:
        cdf = 1.0 + erf(x / math.sqrt(2.0))
    return np.asarray(0.5 * x * cdf)


def _unary(function: Callable[[Array], Array]) -> Semantics:
    return lambda _, args: [function(args[0])]


def _stepped(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A function that jumps: of the float32 that the operator sees, else it jumps elsewhere."""
    return lambda x: function(np.asarray(x, np.float32)).astype(np.float64)


# Functions that jump; what lies before them is to be computed as the operators do, in float32.
STEPS = {"FLOOR": np.floor, "CEIL": np.ceil, "ROUND": np.rint, "SIGN": np.sign}


def _binary(function: Callable[[Array, Array], Array]) -> Semantics:
    return lambda _, args: [function(args[0], args[1])]


def _gelu(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [gelu(args[0], bool(op.options is not None and op.options.approximate))]


def _leaky_relu(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.where(args[0] >= 0, args[0], op.options.alpha * args[0])]


# Functions that bend; a chain of the others alone is affine and not an activation.
NONLINEAR: dict[str, Semantics] = {
    "GELU": _gelu,
    "LEAKY_RELU": _leaky_relu,
    "ELU": _unary(lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0.0)))),
    "HARD_SWISH": _unary(lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0),
    "LOGISTIC": _unary(_sigmoid),
    "TANH": _unary(np.tanh),
    "RELU": _unary(lambda x: np.maximum(x, 0.0)),
    "RELU6": _unary(lambda x: np.clip(x, 0.0, 6.0)),
    "RELU_N1_TO_1": _unary(lambda x: np.clip(x, -1.0, 1.0)),
    "EXP": _unary(np.exp),
    "LOG": _unary(np.log),
    "SQRT": _unary(np.sqrt),
    "ABS": _unary(np.abs),
    "SIN": _unary(np.sin),
    "COS": _unary(np.cos),
    **{name: _unary(_stepped(function)) for name, function in STEPS.items()},
    "MAXIMUM": _binary(np.maximum),
    "MINIMUM": _binary(np.minimum),
}

POINTWISE: dict[str, Semantics] = {
    **NONLINEAR,
    "ADD": _binary(np.add),
    "SUB": _binary(np.subtract),
    "MUL": _binary(np.multiply),
    "DIV": _binary(np.divide),
    "SQUARED_DIFFERENCE": _binary(lambda a, b: (a - b) ** 2),
    "SQUARE": _unary(np.square),
    "NEG": _unary(np.negative),
    "RSQRT": _unary(lambda x: 1.0 / np.sqrt(x)),
    "POW": _binary(np.power),
    "QUANTIZE": _same,
    "DEQUANTIZE": _same,
}

# ---- repetition ----------------------------------------------------------------------------------


def _broadcast_to(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.broadcast_to(args[0], tuple(int(n) for n in args[1]))]


def _tile(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.tile(args[0], tuple(int(n) for n in args[1]))]


BROADCASTS: dict[str, Semantics] = {"BROADCAST_TO": _broadcast_to, "TILE": _tile}


# Its first operand is a shape, no tensor that it repeats.
def _fill(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.full(tuple(int(n) for n in args[0]), args[1])]


CONSTANTS: dict[str, Semantics] = {"FILL": _fill}

# ---- reductions ----------------------------------------------------------------------------------


def _reduce(function: Callable[..., Array]) -> Semantics:
    def apply(op: Operator, args: Sequence[Array]) -> list[Array]:
        axes = tuple(int(a) for a in np.atleast_1d(args[1]))
        return [function(args[0], axis=axes, keepdims=bool(op.options.keepDims))]

    return apply


REDUCTIONS: dict[str, Semantics] = {"MEAN": _reduce(np.mean), "SUM": _reduce(np.sum)}

# ---- what a softmax is made of -------------------------------------------------------------------


def _select(op: Operator, args: Sequence[Array]) -> list[Array]:
    condition, a, b = args
    if op.opcode == "SELECT" and condition.ndim == 1:  # one for each outermost part of the values
        condition = condition.reshape(-1, *(1,) * (a.ndim - 1))
    return [np.where(condition, a, b)]


SOFTMAX_PARTS: dict[str, Semantics] = {
    "REDUCE_MAX": _reduce(np.max),
    "EQUAL": _binary(np.equal),
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
) -> Array:
    """Runs operators in float64.

    Args:
      ops: operators in execution order.
      known: values of the tensors that come from outside; constants are read from the graph.
      sink: the tensor to return.
      flat: every value is a 1-D array of samples and RESHAPE is the identity (for functions of
        one element).
      single: in float32.
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
    **SOFTMAX_PARTS,
}
