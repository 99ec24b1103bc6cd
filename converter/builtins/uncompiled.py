# SPDX-License-Identifier: Apache-2.0
"""Builtins without a kernel of ours that TFLM computes otherwise than LiteRT.

The factors of their scales are real numbers of other precision there, LiteRT's SUM ignores them:
a result differs by a step, rarely or always. The definition is TFLM's, as that of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.builtins.common import Tensors
from converter.builtins.reductions import axes_of
from converter.builtins.softmax_int16 import softmax_int16
from converter.tflite import Operator, Tensor
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins.rescale import Int64Array, rescale
from tflm_custom_ops.builtins.tables import inverse_roots

Array = NDArray[Any]


def _wide(tensor: Tensor, values: Array) -> Int64Array:
    return values.astype(np.int64) - tensor.zero_point


def _scaled(values: Int64Array, factor: float) -> Int64Array:
    by = p.quantize_multiplier(factor)
    return rescale(values, by.multiplier, by.shift)


def _stored(y: Tensor, values: Int64Array, low: int, high: int) -> Array:
    result: Array = np.clip(values + y.zero_point, low, high).astype(y.dtype)
    return result


def _limits(y: Tensor) -> tuple[int, int]:
    limits = np.iinfo(y.dtype)
    return int(limits.min), int(limits.max)


def _total(tensors: Tensors, op: Operator, x: Array, axes: Array) -> Array:
    """SUM, as reduce_common.cc."""
    source, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    total = _wide(source, x).sum(axis=tuple(axes_of(tensors, op)))
    return _stored(y, _scaled(total, source.scale / y.scale), *_limits(y))


def _prelu(tensors: Tensors, op: Operator, x: Array, alpha: Array) -> Array:
    """PRELU, as prelu_common.cc: the factors in float64."""
    source, slope, y = (tensors[i] for i in (*op.inputs, *op.outputs))
    wide = _wide(source, x)
    positive = _scaled(wide, source.scale / y.scale)
    negative = _scaled(wide * _wide(slope, alpha), source.scale * slope.scale / y.scale)
    return _stored(y, np.where(wide >= 0, positive, negative), *_limits(y))


def _inverse_root(tensors: Tensors, op: Operator, x: Array) -> Array:
    """RSQRT, as elementwise.cc: as that of int8; LiteRT's table is another function."""
    source, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    ends = (source.scale, 0), (y.scale, 0)
    low, high = _limits(y)
    return _stored(y, inverse_roots(*ends, x.astype(np.int64), high), low, high)


_DEFINITIONS: Mapping[str, tuple[str, Callable[..., Array]]] = {
    "SUM": ("int16", _total),
    "SOFTMAX": ("int16", softmax_int16),
    "RSQRT": ("int16", _inverse_root),
    "PRELU": ("int8", _prelu),
}


def definition_of(tensors: Tensors, op: Operator) -> Callable[..., Array] | None:
    """Of an operator, from (tensors, operator, *operands); None where LiteRT's kernel is it."""
    if op.name not in _DEFINITIONS:
        return None
    dtype, compute = _DEFINITIONS[op.name]
    ends = (tensors[i] for i in (op.inputs[0], *op.outputs))
    return compute if all(t.dtype == dtype and t.quantization for t in ends) else None
