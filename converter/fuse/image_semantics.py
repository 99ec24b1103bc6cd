# SPDX-License-Identifier: Apache-2.0
"""What operators mean on real numbers that make images larger or smaller.

As `converter.fuse.layer_semantics`, of images [batches, height, width, channels]. Source: TFLite
operator documentation, `schema.fbs`, and the kernels of these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.builtins.images import nearest
from converter.fuse.op_semantics import Semantics
from converter.tflite import Operator
from converter.tflite.schema import schema

Array = NDArray[Any]


def _resize_nearest(op: Operator, args: Sequence[Array]) -> list[Array]:
    y = args[0]
    flags = (bool(op.options.alignCorners), bool(op.options.halfPixelCenters))
    for axis, size in enumerate(args[1], start=1):
        y = np.take(y, nearest(y.shape[axis], int(size), *flags), axis=axis)
    return [y]


def _places(size: int, out: int, corners: bool, half: bool) -> Array:
    """Positions of the output's rows in the image, in rows."""
    step = (size - 1) / (out - 1) if corners and out > 1 else size / out
    shift = 0.5 if half else 0.0
    return np.asarray((np.arange(out) + shift) * step - shift)


def _resize_bilinear(op: Operator, args: Sequence[Array]) -> list[Array]:
    y = args[0]
    flags = (bool(op.options.alignCorners), bool(op.options.halfPixelCenters))
    for axis, out in enumerate(args[1], start=1):
        size = y.shape[axis]
        at = np.clip(_places(size, int(out), *flags), 0.0, size - 1.0)
        before = np.floor(at).astype(np.int64)
        part = (at - before).reshape([-1 if i == axis else 1 for i in range(y.ndim)])
        behind = np.minimum(before + 1, size - 1)
        y = np.take(y, before, axis) * (1.0 - part) + np.take(y, behind, axis) * part
    return [y]


def _before(op: Operator, size: int, kernel: int, stride: int) -> int:
    """Rows that SAME padding puts before `size` rows which a convolution reads."""
    if op.options.padding == schema.Padding.VALID:
        return 0
    return max(0, (-(-size // stride) - 1) * stride + kernel - size) // 2


def _transpose_conv(op: Operator, args: Sequence[Array]) -> list[Array]:
    """Every pixel adds its kernel to the result, at stride distances."""
    shape, w, x = args[:3]
    (n, height, width, _), (depth, kh, kw, _) = x.shape, w.shape
    dy, dx = op.options.strideH, op.options.strideW
    rows, columns = int(shape[1]), int(shape[2])
    top, left = _before(op, rows, kh, dy), _before(op, columns, kw, dx)
    space = (max((height - 1) * dy + kh, top + rows), max((width - 1) * dx + kw, left + columns))
    whole = np.zeros((n, *space, depth), np.result_type(x, w))
    for k in range(kh):
        for m in range(kw):
            part = x @ w[:, k, m].T
            whole[:, k : k + height * dy : dy, m : m + width * dx : dx][:, :height, :width] += part
    y = whole[:, top : top + rows, left : left + columns]
    return [y + args[3] if len(args) > 3 else y]


def _mirror_pad(op: Operator, args: Sequence[Array]) -> list[Array]:
    reflects = op.options.mode == schema.MirrorPadMode.REFLECT
    mode: Any = "reflect" if reflects else "symmetric"
    return [np.pad(args[0], args[1].astype(np.int64), mode=mode)]


IMAGES: dict[str, Semantics] = {
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "RESIZE_BILINEAR": _resize_bilinear,
    "TRANSPOSE_CONV": _transpose_conv,
    "MIRROR_PAD": _mirror_pad,
}
