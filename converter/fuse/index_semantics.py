# SPDX-License-Identifier: Apache-2.0
"""What operators mean on real numbers that make positions, or take values by them.

As `converter.fuse.layer_semantics`. Source: TFLite operator documentation, `schema.fbs`, and the
kernels of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import Semantics, reduced
from converter.tflite import Operator

Array = NDArray[Any]


def _one_hot(op: Operator, args: Sequence[Array]) -> list[Array]:
    """`on` where the new axis' position is the index; an index beyond it is nowhere."""
    index, depth, on, off = args
    axis = op.options.axis if op.options.axis >= 0 else index.ndim
    places = np.arange(int(depth)).reshape([-1 if i == axis else 1 for i in range(index.ndim + 1)])
    return [np.where(np.expand_dims(index, axis) == places, on, off)]


def _extreme(function: Callable[..., Any]) -> Semantics:
    """The first position of the extreme along an axis."""
    return lambda _, args: [function(args[0], axis=int(np.reshape(args[1], -1)[0]))]


def _top_k(_: Operator, args: Sequence[Array]) -> list[Array]:
    """The largest ones of the last axis and their positions, the first of equal ones first."""
    order = np.argsort(-args[0], axis=-1, kind="stable")[..., : int(args[1])]
    return [np.take_along_axis(args[0], order, axis=-1), order]


def _reverse(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.flip(args[0], tuple(int(a) for a in np.atleast_1d(args[1])))]


def _update(_: Operator, args: Sequence[Array]) -> list[Array]:
    """A part is put over the first operand, moved inwards where it would leave it."""
    y, part = args[0].copy(), args[1]
    sizes = zip(args[2], y.shape, part.shape, strict=True)
    starts = [min(max(int(at), 0), whole - size) for at, whole, size in sizes]
    y[tuple(slice(s, s + n) for s, n in zip(starts, part.shape, strict=True))] = part
    return [y]


# Operands whose integers are copied into the result, whatever scales they have of their own:
# TensorFlow's converter gives `off` another one, so that it is half of `on` there.
COPIED: dict[str, tuple[int, ...]] = {"ONE_HOT": (2, 3)}

INDEXED: dict[str, Semantics] = {
    "ONE_HOT": _one_hot,
    "ARG_MAX": _extreme(np.argmax),
    "ARG_MIN": _extreme(np.argmin),
    "TOPK_V2": _top_k,
    "REVERSE_V2": _reverse,
    "DYNAMIC_UPDATE_SLICE": _update,
    "REDUCE_MIN": reduced(np.min),
    "REDUCE_PROD": reduced(np.prod),
    "REDUCE_ALL": reduced(np.all),
    "REDUCE_ANY": reduced(np.any),
    "ZEROS_LIKE": lambda _, args: [np.zeros_like(args[0])],
    "ADD_N": lambda _, args: [np.sum(np.stack(args), axis=0)],
}
