# SPDX-License-Identifier: Apache-2.0
"""Shapes of what computes element by element, of reductions and of products."""

from __future__ import annotations

import math

from converter.tflite.shapes.known import Known, Shape, axes_of, broadcast, expect


def same(k: Known) -> Shape:
    return k.shapes[0]


def broadcasting(k: Known) -> Shape:
    return broadcast(*k.shapes)


def select(k: Known) -> Shape:
    condition, a, b = k.shapes
    expect(a == b, f"got {list(a)} and {list(b)} to choose from, expected one shape")
    rows = len(condition) == 1 and a[:1] == condition
    expect(condition in (a, ()) or rows, f"got conditions {list(condition)} for {list(a)}")
    return a


def prelu(k: Known) -> Shape:
    expect(broadcast(*k.shapes) == k.shapes[0], "got slopes larger than the input")
    return k.shapes[0]


def all_equal(k: Known) -> Shape:
    expect(len(set(k.shapes)) == 1, "got operands of several shapes, expected one")
    return k.shapes[0]


def reduced(k: Known) -> Shape:
    axes, keep = axes_of(k), bool(k.options is not None and k.options.keepDims)
    return tuple(1 if i in axes else n for i, n in enumerate(k.shapes[0]) if keep or i not in axes)


def arg_extreme(k: Known) -> Shape:
    (axis,) = axes_of(k)
    return k.shapes[0][:axis] + k.shapes[0][axis + 1 :]


def expect_bias(k: Known, channels: int, at: int = 2) -> None:
    if len(k.shapes) > at and k.op.inputs[at] >= 0:
        size = math.prod(k.shapes[at])
        expect(size == channels, f"got a bias of {size} elements for {channels} channels")


def fully_connected(k: Known) -> Shape:
    x, weights = k.shapes[:2]
    expect(len(weights) == 2 and len(x) > 0, f"got weights {list(weights)} for {list(x)}")
    expect_bias(k, weights[0])
    depth = weights[1]
    if k.options.keepNumDims:
        expect(x[-1] == depth, f"got weights {list(weights)} for {list(x)}")
        return (*x[:-1], weights[0])
    fits = depth > 0 and math.prod(x) % depth == 0
    expect(fits, f"got weights {list(weights)} for {list(x)}")
    return (math.prod(x) // depth, weights[0])


def matmul(k: Known) -> Shape:
    a, b = k.shapes
    expect(len(a) >= 2 and len(b) >= 2, f"got {list(a)} and {list(b)}, expected matrices")
    rows, depth = (a[-1], a[-2]) if k.options.adjX else (a[-2], a[-1])
    columns, depth_b = (b[-2], b[-1]) if k.options.adjY else (b[-1], b[-2])
    expect(depth == depth_b, f"got {depth} and {depth_b} terms in a sum, expected as many")
    return (*broadcast(a[:-2], b[:-2]), rows, columns) if len(a + b) > 4 else (rows, columns)
