# SPDX-License-Identifier: Apache-2.0
"""Shapes of what works on images: windows, resizing, blocks."""

from __future__ import annotations

import math

from converter.tflite.schema import schema
from converter.tflite.shapes.arithmetic import expect_bias
from converter.tflite.shapes.known import Known, Shape, expect

_SAME_PADDING = schema.Padding.SAME


def window_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Output rows of a convolution or pooling over `size` rows."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == _SAME_PADDING else (size - reach + stride) // stride


def expect_images(k: Known, shape: Shape) -> None:
    expect(len(shape) == 4, f"got {list(shape)}, expected [batch, height, width, channels]")


def rows_columns(k: Known, shape: Shape, kernel: tuple[int, int], dilated: bool) -> Shape:
    o = k.options
    steps = (o.strideH, o.strideW)
    dilations = (o.dilationHFactor, o.dilationWFactor) if dilated else (1, 1)
    sizes = tuple(
        window_size(n, window, step, dilation, o.padding)
        for n, window, step, dilation in zip(shape[1:3], kernel, steps, dilations, strict=True)
    )
    expect(min(sizes) > 0, f"got windows of {list(kernel)} on {list(shape)}: no row is left")
    return sizes


def conv(k: Known) -> Shape:
    x, weights = k.shapes[:2]
    expect_images(k, x)
    expect_images(k, weights)
    depth = weights[3]
    fits = x[3] > 0 and depth > 0 and x[3] % depth == 0 and weights[0] % (x[3] // depth or 1) == 0
    expect(fits, f"got weights {list(weights)} for {list(x)}")
    expect_bias(k, weights[0])
    return (x[0], *rows_columns(k, x, (weights[1], weights[2]), True), weights[0])


def depthwise(k: Known) -> Shape:
    x, weights = k.shapes[:2]
    expect_images(k, x)
    expect_images(k, weights)
    fits = weights[0] == 1 and x[3] > 0 and weights[3] % x[3] == 0
    multiplier = k.options.depthMultiplier
    fits = fits and multiplier in (0, weights[3] // max(x[3], 1))
    expect(fits, f"got weights {list(weights)}, multiplier {multiplier} for {list(x)}")
    expect_bias(k, weights[3])
    return (x[0], *rows_columns(k, x, (weights[1], weights[2]), True), weights[3])


def pool(k: Known) -> Shape:
    x, o = k.shapes[0], k.options
    expect_images(k, x)
    return (x[0], *rows_columns(k, x, (o.filterHeight, o.filterWidth), False), x[3])


def transpose_conv(k: Known) -> Shape:
    shape, weights, x = k.integers(0), k.shapes[1], k.shapes[2]
    expect_images(k, x)
    expect_images(k, weights)
    expect_images(k, tuple(shape))
    o = k.options
    back = tuple(
        window_size(n, kernel, step, 1, o.padding)
        for n, kernel, step in zip(shape[1:3], weights[1:3], (o.strideH, o.strideW), strict=True)
    )
    fits = weights[3] == x[3] > 0 and shape[0] == x[0] and shape[3] == weights[0] and back == x[1:3]
    expect(fits, f"got output {shape}, weights {list(weights)} for {list(x)}")
    expect_bias(k, weights[0], 3)
    return tuple(shape)


def resized(k: Known) -> Shape:
    x, size = k.shapes[0], k.integers(1)
    expect_images(k, x)
    o = k.options
    expect(len(size) == 2 and min(size) > 0, f"got size {size}, expected [height, width]")
    expect(not (o.alignCorners and o.halfPixelCenters), "got aligned corners and half pixels")
    return (x[0], *size, x[3])


def space_to_depth(k: Known) -> Shape:
    x, n = k.shapes[0], k.options.blockSize
    expect_images(k, x)
    expect(x[1] % n == 0 and x[2] % n == 0, f"got blocks of {n} of {list(x)}")
    return (x[0], x[1] // n, x[2] // n, x[3] * n * n)


def depth_to_space(k: Known) -> Shape:
    x, n = k.shapes[0], k.options.blockSize
    expect_images(k, x)
    expect(x[3] % (n * n) == 0, f"got blocks of {n} of {list(x)}")
    return (x[0], x[1] * n, x[2] * n, x[3] // (n * n))


def space_to_batch(k: Known) -> Shape:
    x, blocks, pads = k.shapes[0], k.integers(1), k.integers(2)
    fits = len(x) in (3, 4) and len(blocks) == len(x) - 2 and len(pads) == 2 * len(blocks)
    expect(fits and min(blocks) > 0 and min(pads) >= 0, f"got blocks {blocks}, padding {pads}")
    sizes = [n + a + b for n, a, b in zip(x[1:-1], pads[::2], pads[1::2], strict=True)]
    even = all(n % block == 0 for n, block in zip(sizes, blocks, strict=True))
    expect(even, f"got blocks {blocks} of {sizes}")
    parts = [n // block for n, block in zip(sizes, blocks, strict=True)]
    return (x[0] * math.prod(blocks), *parts, x[-1])


def batch_to_space(k: Known) -> Shape:
    x, blocks, crops = k.shapes[0], k.integers(1), k.integers(2)
    fits = len(x) in (3, 4) and len(blocks) == len(x) - 2 and len(crops) == 2 * len(blocks)
    expect(fits and min(blocks) > 0 and min(crops) >= 0, f"got blocks {blocks}, crops {crops}")
    expect(x[0] % math.prod(blocks) == 0, f"got blocks {blocks} of {x[0]} images")
    cut = [a + b for a, b in zip(crops[::2], crops[1::2], strict=True)]
    sizes = [n * block - c for n, block, c in zip(x[1:-1], blocks, cut, strict=True)]
    expect(min(sizes) > 0, f"got crops {crops} of {list(x)}")
    return (x[0] // math.prod(blocks), *sizes, x[-1])
