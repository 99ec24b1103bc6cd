# SPDX-License-Identifier: Apache-2.0
"""What layers and the rest of the operators mean on real numbers, for running a plain graph.

The patterns need `converter.fuse.op_semantics` only; these are what lies between. Inputs are values
of any float type, results are of that type. Source: TFLite operator documentation, `schema.fbs`,
and the kernels' rules for padding (kernels/padding.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.fuse.op_semantics import Semantics
from converter.tflite import Operator
from converter.tflite.schema import schema

Array = NDArray[Any]


def _fully_connected(_: Operator, args: Sequence[Array]) -> list[Array]:
    x, w = args[:2]
    y = x.reshape(-1, w.shape[-1]) @ w.reshape(-1, w.shape[-1]).T
    return [y + args[2] if len(args) > 2 else y]


def _batch_matmul(op: Operator, args: Sequence[Array]) -> list[Array]:
    a, b = args
    left = a.swapaxes(-1, -2) if op.options.adjX else a
    return [left @ (b.swapaxes(-1, -2) if op.options.adjY else b)]


def _softmax(op: Operator, args: Sequence[Array]) -> list[Array]:
    beta = getattr(op.options, "beta", 1.0)
    e = np.exp(beta * (args[0] - args[0].max(axis=-1, keepdims=True)))
    return [e / e.sum(axis=-1, keepdims=True)]


def _log_softmax(_: Operator, args: Sequence[Array]) -> list[Array]:
    below = args[0] - args[0].max(axis=-1, keepdims=True)
    return [below - np.log(np.exp(below).sum(axis=-1, keepdims=True))]


def _cumsum(op: Operator, args: Sequence[Array]) -> list[Array]:
    axis = int(np.reshape(args[1], -1)[0])
    x = np.flip(args[0], axis) if op.options.reverse else args[0]
    y = np.cumsum(x, axis) - (x if op.options.exclusive else 0.0)
    return [np.flip(y, axis) if op.options.reverse else y]


def _padded(x: Array, kernel: tuple[int, int], options: Any, value: float) -> Array:
    """The image with the border that SAME padding adds."""
    if options.padding == schema.Padding.VALID:
        return x
    border = [(0, 0)]
    strides = (options.strideH, options.strideW)
    for size, reach, stride in zip(x.shape[1:3], kernel, strides, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + reach - size)
        border.append((total // 2, total - total // 2))
    return np.pad(x, [*border, (0, 0)], constant_values=value)


def _windows(x: Array, kernel: tuple[int, int], options: Any, value: float = 0.0) -> Array:
    """[1, rows, columns, channels, kernel height, kernel width] of the image."""
    dy = getattr(options, "dilationHFactor", 1) or 1
    dx = getattr(options, "dilationWFactor", 1) or 1
    reach = ((kernel[0] - 1) * dy + 1, (kernel[1] - 1) * dx + 1)
    x = _padded(x, reach, options, value)
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    return windows[:, :: options.strideH, :: options.strideW, :, ::dy, ::dx]


def _conv_2d(op: Operator, args: Sequence[Array]) -> list[Array]:
    x, w = args[:2]
    _, height, width, depth = w.shape
    windows = _windows(x, (height, width), op.options).transpose(0, 1, 2, 4, 5, 3)
    groups = []
    for filters, part in zip(
        np.split(w, x.shape[-1] // depth), _split_last(windows, depth), strict=True
    ):
        groups.append(part.reshape(*part.shape[:3], -1) @ filters.reshape(len(filters), -1).T)
    y = np.concatenate(groups, axis=-1)
    return [y + args[2] if len(args) > 2 else y]


def _split_last(x: Array, size: int) -> list[Array]:
    """Parts of that many channels; one for a convolution without groups."""
    return np.split(x, x.shape[-1] // size, axis=-1)


def _depthwise(op: Operator, args: Sequence[Array]) -> list[Array]:
    x, w = args[:2]
    _, height, width, channels = w.shape
    repeated = np.repeat(x, channels // x.shape[-1], axis=-1)
    windows = _windows(repeated, (height, width), op.options)
    y = np.einsum("nyxcij,ijc->nyxc", windows, w[0], optimize=True)
    return [y + args[2] if len(args) > 2 else y]


def _max_pool(op: Operator, args: Sequence[Array]) -> list[Array]:
    kernel = (op.options.filterHeight, op.options.filterWidth)
    return [_windows(args[0], kernel, op.options, -np.inf).max(axis=(4, 5))]


def _average_pool(op: Operator, args: Sequence[Array]) -> list[Array]:
    kernel = (op.options.filterHeight, op.options.filterWidth)
    return [np.nanmean(_windows(args[0], kernel, op.options, np.nan), axis=(4, 5))]


def _pad(_: Operator, args: Sequence[Array]) -> list[Array]:
    value = float(args[2].reshape(-1)[0]) if len(args) > 2 else 0.0
    return [np.pad(args[0], args[1].astype(np.int64), constant_values=value)]


def _compare(function: np.ufunc) -> Semantics:
    return lambda _, args: [function(args[0], args[1])]


def _cast(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [args[0]]


def _prelu(_: Operator, args: Sequence[Array]) -> list[Array]:
    return [np.where(args[0] >= 0, args[0], args[1] * args[0])]


LAYERS: dict[str, Semantics] = {
    "PRELU": _prelu,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "CUMSUM": _cumsum,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "PAD": _pad,
    "PADV2": _pad,
    "CAST": _cast,
    "LESS": _compare(np.less),
    "GREATER": _compare(np.greater),
    "LESS_EQUAL": _compare(np.less_equal),
    "GREATER_EQUAL": _compare(np.greater_equal),
    "NOT_EQUAL": _compare(np.not_equal),
    "LOGICAL_AND": _compare(np.logical_and),
    "LOGICAL_OR": _compare(np.logical_or),
    "LOGICAL_NOT": lambda _, args: [np.logical_not(args[0])],
}
