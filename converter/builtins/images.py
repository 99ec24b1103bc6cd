# SPDX-License-Identifier: Apache-2.0
"""Images that grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.builtins.common import (
    BuiltinError,
    Tensors,
    activation_range,
    ends,
    int8_tensor,
    same_quantization,
)
from converter.builtins.layers import bias_of, centered_weights, factors_of, padding_of
from converter.tflite import Operator, Tensor
from tflm_custom_ops.builtins import images as g
from tflm_custom_ops.builtins import params as p


def _images(x: Tensor, y: Tensor) -> None:
    if len(x.shape) != 4 or len(y.shape) != 4 or x.shape[0] != y.shape[0]:
        raise BuiltinError(f"got {list(x.shape)} and {list(y.shape)}, expected images")
    if x.shape[3] != y.shape[3] or not x.size or not y.size:
        raise BuiltinError(f"got {list(x.shape)} and {list(y.shape)}, expected equal channels")


def _step(size: int, out: int, align_corners: bool) -> int:
    """Input pixels per output pixel times 2**10, rounded."""
    if align_corners and out > 1:
        return ((1 << 10) * (size - 1) + (out - 1) // 2) // (out - 1)
    return ((1 << 10) * size + out // 2) // out


def resize_bilinear(tensors: Tensors, op: Operator) -> g.ResizeBilinear:
    """As TFLM's resize_bilinear.cc."""
    x, y = ends(tensors, op)
    same_quantization(x, y)
    _images(x, y)
    corners, half = bool(op.options.alignCorners), bool(op.options.halfPixelCenters)
    if corners and half:
        raise BuiltinError("got aligned corners and centers, expected one of them")
    (n, h, w, c), (_, oh, ow, _) = x.shape, y.shape
    steps = (_step(h, oh, corners), _step(w, ow, corners))
    return g.ResizeBilinear(n, h, w, c, oh, ow, *steps, int(half))


def nearest(size: int, out: int, corners: bool, half: bool) -> NDArray[np.int32]:
    """The rows of `size` that become `out`: GetNearestNeighbor of resize_nearest_neighbor.h, in
    float32."""
    counts = (size - 1, out - 1) if corners and out > 1 else (size, out)
    scale = np.float32(counts[0]) / np.float32(counts[1])
    at = (np.arange(out, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
    # A half is added in double precision: in single, 0.49999997 would be rounded up.
    index = np.floor(at.astype(np.float64) + 0.5) if corners else np.floor(at)
    result: NDArray[np.int32] = np.clip(index, 0, size - 1).astype(np.int32)
    return result


def resize_nearest(tensors: Tensors, op: Operator) -> g.ResizeNearest:
    """As TFLM's resize_nearest_neighbor.cc, of any type."""
    x, y = tensors[op.inputs[0]], tensors[op.outputs[0]]
    _images(x, y)
    if x.dtype != y.dtype:
        raise BuiltinError(f"got {x.dtype} and {y.dtype}, expected one type")
    if x.quantization is not None:
        same_quantization(x, y)
    flags = (bool(op.options.alignCorners), bool(op.options.halfPixelCenters))
    (n, h, w, c), (_, oh, ow, _) = x.shape, y.shape
    tables = (nearest(h, oh, *flags), nearest(w, ow, *flags))
    return g.ResizeNearest(n, h, w, c * x.dtype.itemsize, oh, ow, *tables)


def transpose_conv(tensors: Tensors, op: Operator) -> g.TransposeConv:
    """As TFLM's transpose_conv.cc; inputs: shape, weights, image, bias."""
    x = int8_tensor(tensors[op.inputs[2]], "input")
    y = int8_tensor(tensors[op.outputs[0]], "output")
    weights = centered_weights(tensors, op).astype(np.int8)
    if len(x.shape) != 4 or x.shape[0] != 1 or len(y.shape) != 4:
        raise BuiltinError(f"got {list(x.shape)}, expected [1, h, w, c]")
    channels, kh, kw, depth = weights.shape
    if (channels, depth) != (y.shape[3], x.shape[3]):
        raise BuiltinError(f"weights: got {list(weights.shape)} for {list(x.shape)}")
    options = op.options
    strides = (options.strideH, options.strideW)
    top, left = (
        padding_of(size, kernel, stride, 1, options.padding)[1]
        for size, kernel, stride in zip(y.shape[1:3], (kh, kw), strides, strict=True)
    )
    window = p.Window(*x.shape[1:], *y.shape[1:], kh, kw, *strides, 1, 1, top, left)
    return g.TransposeConv(
        *(window, x.zero_point, y.zero_point),
        *activation_range(getattr(options, "fusedActivationFunction", 0), y),
        *(weights, bias_of(tensors, op, channels, 3)),
        *factors_of(x, tensors[op.inputs[1]], y, channels),
    )
