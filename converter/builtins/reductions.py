# SPDX-License-Identifier: Apache-2.0
"""Reductions over any dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.builtins.common import BuiltinError, Tensors, constant, ends, same_quantization
from converter.tflite import Operator
from tflm_custom_ops.builtins import params as p
from tflm_custom_ops.builtins import reductions as r


def axes_of(tensors: Tensors, op: Operator) -> list[int]:
    """The reduced dimensions, ascending."""
    rank = len(tensors[op.inputs[0]].shape)
    named = constant(tensors, op.inputs[1], "axes").reshape(-1)
    return sorted({int(a) % rank for a in named})


def _four(shape: Sequence[int], axes: Sequence[int]) -> tuple[p.Shape4, p.Shape4]:
    """Sizes and element strides of the dimensions ``axes``, neighbours joined."""
    strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    found: list[tuple[int, int]] = []
    for axis in axes:
        if shape[axis] == 1:
            continue
        if found and found[-1][1] == strides[axis] * shape[axis]:
            found[-1] = (found[-1][0] * shape[axis], strides[axis])
        else:
            found.append((shape[axis], strides[axis]))
    if len(found) > 4:
        raise BuiltinError(f"got shape {list(shape)}, expected four groups of dimensions")
    padded = [(1, 0)] * (4 - len(found)) + found
    (a, i), (b, j), (c, k), (d, m) = padded
    return (a, b, c, d), (i, j, k, m)


def _reduce(
    tensors: Tensors, op: Operator, kind: r.Reduction, factor: p.TfliteMultiplier
) -> r.Reduce:
    x, y = ends(tensors, op)
    axes = axes_of(tensors, op)
    kept = _four(x.shape, [i for i in range(len(x.shape)) if i not in axes])
    parts = (*kept, *_four(x.shape, axes))
    return r.Reduce(int(kind), *parts, x.zero_point, y.zero_point, factor.multiplier, factor.shift)


def _count(tensors: Tensors, op: Operator) -> int:
    x = tensors[op.inputs[0]]
    return int(np.prod([x.shape[a] for a in axes_of(tensors, op)], dtype=np.int64))


def mean(tensors: Tensors, op: Operator) -> r.Reduce:
    """MEAN over dimensions that are not adjacent, as TFLM's reduce_common.cc."""
    x, y = ends(tensors, op)
    factor = p.mean_factor(x.scale / y.scale, _count(tensors, op))
    return _reduce(tensors, op, r.Reduction.SUM, factor)


def total(tensors: Tensors, op: Operator) -> r.Reduce:
    """SUM, as TFLM's reduce_common.cc."""
    x, y = ends(tensors, op)
    factor = p.quantize_multiplier(x.scale / y.scale)
    if 255 * _count(tensors, op) << max(factor.shift, 0) >= 1 << 31:
        raise BuiltinError(f"the scale of {y.name} is too small for sums of {x.name}")
    return _reduce(tensors, op, r.Reduction.SUM, factor)


def extreme(tensors: Tensors, op: Operator) -> r.Reduce:
    """REDUCE_MAX and REDUCE_MIN of one scale."""
    x, y = ends(tensors, op)
    same_quantization(x, y)
    kind = r.Reduction.MAXIMUM if op.name == "REDUCE_MAX" else r.Reduction.MINIMUM
    return _reduce(tensors, op, kind, p.TfliteMultiplier(0, 0))
