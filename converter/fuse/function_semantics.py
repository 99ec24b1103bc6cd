# SPDX-License-Identifier: Apache-2.0
"""What the operators compute that take each element by itself, on real numbers.

* `NONLINEAR` bend; a chain of the others alone is affine and not an activation.
* `POINTWISE` are all of them.
* `JUMPS` are those whose value jumps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.erf import erf
from converter.tflite import Operator

Array = NDArray[Any]
Semantics = Callable[[Operator, Sequence[Array]], list[Array]]


def identity(_: Operator, args: Sequence[Array]) -> list[Array]:
    """The first operand."""
    return [args[0]]


def _sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def gelu(x: Array, approximate: bool) -> Array:
    """GELU (Hendrycks and Gimpel 2016): x * Phi(x), or its tanh approximation."""
    if approximate:
        cdf = 1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
    else:
        cdf = 1.0 + erf(x / math.sqrt(2.0))
    return np.asarray(0.5 * x * cdf)


def unary(function: Callable[[Array], Array]) -> Semantics:
    """A function of one operand."""
    return lambda _, args: [function(args[0])]


def _stepped(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A function that jumps: of the float32 that the operator sees, else it jumps elsewhere."""
    return lambda x: function(np.asarray(x, np.float32)).astype(np.float64)


_STEPS = {"FLOOR": np.floor, "CEIL": np.ceil, "ROUND": np.rint, "SIGN": np.sign}
# Functions that jump; what lies before them is to be computed as the operators do, in float32.
JUMPS = frozenset({*_STEPS, "FLOOR_DIV", "FLOOR_MOD"})


def binary(function: Callable[[Array, Array], Array]) -> Semantics:
    """A function of two operands."""
    return lambda _, args: [function(args[0], args[1])]


def _gelu(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [gelu(args[0], bool(op.options is not None and op.options.approximate))]


def _leaky_relu(op: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.where(args[0] >= 0, args[0], op.options.alpha * args[0])]


# Functions that bend; a chain of the others alone is affine and not an activation.
NONLINEAR: dict[str, Semantics] = {
    "GELU": _gelu,
    "LEAKY_RELU": _leaky_relu,
    "ELU": unary(lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0.0)))),
    "HARD_SWISH": unary(lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0),
    "LOGISTIC": unary(_sigmoid),
    "TANH": unary(np.tanh),
    "RELU": unary(lambda x: np.maximum(x, 0.0)),
    "RELU6": unary(lambda x: np.clip(x, 0.0, 6.0)),
    "RELU_N1_TO_1": unary(lambda x: np.clip(x, -1.0, 1.0)),
    "RELU_0_TO_1": unary(lambda x: np.clip(x, 0.0, 1.0)),
    "EXP": unary(np.exp),
    "LOG": unary(np.log),
    "SQRT": unary(np.sqrt),
    "ABS": unary(np.abs),
    "SIN": unary(np.sin),
    "COS": unary(np.cos),
    **{name: unary(_stepped(function)) for name, function in _STEPS.items()},
    "FLOOR_DIV": binary(lambda a, b: np.floor(np.float32(a) / np.float32(b)).astype(np.float64)),
    "FLOOR_MOD": binary(lambda a, b: np.mod(np.float32(a), np.float32(b)).astype(np.float64)),
    "MAXIMUM": binary(np.maximum),
    "MINIMUM": binary(np.minimum),
}

POINTWISE: dict[str, Semantics] = {
    **NONLINEAR,
    "ADD": binary(np.add),
    "SUB": binary(np.subtract),
    "MUL": binary(np.multiply),
    "DIV": binary(np.divide),
    "SQUARED_DIFFERENCE": binary(lambda a, b: (a - b) ** 2),
    "SQUARE": unary(np.square),
    "NEG": unary(np.negative),
    "RSQRT": unary(lambda x: 1.0 / np.sqrt(x)),
    "POW": binary(np.power),
    "QUANTIZE": identity,
    "DEQUANTIZE": identity,
}
