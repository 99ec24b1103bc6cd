# SPDX-License-Identifier: Apache-2.0
"""Pointwise int8 operators, each a table of 256 results."""

from __future__ import annotations

import math

import numpy as np

from converter.builtins.common import BuiltinError, Tensors, ends
from converter.tflite import Operator, Tensor
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins import tables


def _scale(tensor: Tensor) -> tables.Scale:
    return tensor.scale, tensor.zero_point


def _fixed_output(y: Tensor, scale: float, zero_point: int) -> None:
    if y.scale != scale or y.zero_point != zero_point:
        raise BuiltinError(
            f"output {y.name}: got scale {y.scale} and zero point {y.zero_point}, expected "
            f"{scale} and {zero_point}"
        )


def logistic(tensors: Tensors, op: Operator) -> p.Table:
    """As TFLM's logistic_common.cc."""
    x, y = ends(tensors, op)
    _fixed_output(y, 1 / 256, -128)
    return p.Table(tables.logistic(_scale(x)))


def tanh(tensors: Tensors, op: Operator) -> p.Table:
    """As TFLM's tanh.cc."""
    x, y = ends(tensors, op)
    _fixed_output(y, 1 / 128, 0)
    return p.Table(tables.tanh(_scale(x)))


def gelu(tensors: Tensors, op: Operator) -> p.Table:
    """As LiteRT's gelu.cc; TFLM has none."""
    x, y = ends(tensors, op)
    approximate = bool(op.options is not None and op.options.approximate)
    return p.Table(tables.gelu(_scale(x), _scale(y), approximate))


def rsqrt(tensors: Tensors, op: Operator) -> p.Table:
    """As TFLM's elementwise.cc."""
    x, y = ends(tensors, op)
    return p.Table(tables.rsqrt(_scale(x), _scale(y)))


def absolute(tensors: Tensors, op: Operator) -> p.Table:
    """As TFLM's elementwise.cc."""
    x, y = ends(tensors, op)
    return p.Table(tables.absolute(_scale(x), _scale(y)))


def logical_not(tensors: Tensors, op: Operator) -> p.Table:
    """Of bytes that are 0 or 1."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    if not x.dtype == y.dtype == np.bool_:
        raise BuiltinError(f"got {x.dtype} to {y.dtype}, expected bool")
    return p.Table((np.arange(-128, 128) == 0).astype(np.int8))


def exp(tensors: Tensors, op: Operator) -> p.Table:
    """As LiteRT's exp.cc; TFLM has float only."""
    x, y = ends(tensors, op)
    return p.Table(tables.of_real(_scale(x), _scale(y), math.exp))


def log(tensors: Tensors, op: Operator) -> p.Table:
    """As LiteRT's elementwise.cc; TFLM has float only."""
    x, y = ends(tensors, op)
    lowest = (-128 - y.zero_point) * y.scale
    table = tables.of_real(
        _scale(x), _scale(y), lambda v: math.log(v) if v > 0 else float(np.float32(lowest))
    )
    return p.Table(table)
